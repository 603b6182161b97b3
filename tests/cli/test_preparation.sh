# shellcheck shell=bash disable=SC2154
# How images are prepared for networks from elsewhere, and what their outputs mean.

cases=$here/../golden/cases
zoo=(--model resnet8)

# ---- mean and standard deviation
# This network was made for (x - 0.5) / 0.5.
works "convert" convert "$cases/bright_half.onnx" bright.rung --dataset image-folder
check "convert: says what is assumed" stdout_has \
  "mean 0.485,0.456,0.406 and std 0.229,0.224,0.225 (ImageNet's, which is assumed: --mean, --std"
works "eval with ImageNet's numbers" eval bright.rung --data "$cases/photos" --json bright.json
check "eval: says that they are assumed" stdout_has "ImageNet's, which is assumed"
check "eval: they are wrong" test "$(number bright.json top1)" = 75.0
works "eval with the right numbers" eval bright.rung --data "$cases/photos" --mean 0.5 --std 0.5 \
  --json bright.json
check "eval: all are right" test "$(number bright.json top1)" = 100.0
check "eval: says whose they are" stdout_has "as --mean and --std say"
works "convert with the right numbers" convert "$cases/bright_half.onnx" half.rung \
  --dataset image-folder --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5
works "the model keeps them" eval half.rung --data "$cases/photos" --json bright.json
check "the model keeps them: all are right" test "$(number bright.json top1)" = 100.0
check "the model keeps them: says so" stdout_has "says half.rung"
works "eval with one of both numbers" eval half.rung --data "$cases/photos" --mean 0.5 --json a.json
check "one of both numbers: says where the other comes from" stdout_has \
  "std 0.5,0.5,0.5 (mean: as --mean says, std: half.rung's)"
check "one of both numbers: the other stays" test "$(number a.json top1)" = 100.0
works "quantize with the right numbers" quantize bright.rung --data "$cases/photos" --mean 0.5 \
  --std 0.5 --out half_q.rung
works "the quantized model keeps them" eval half_q.rung --data "$cases/photos" --json bright.json
check "the quantized model keeps them: all are right" test "$(number bright.json top1)" = 100.0
works "predict with the right numbers" predict bright.rung "$cases/photos/val/0dark/0.png" \
  --mean 0.5 --std 0.5 --json a.json
run predict half.rung "$cases/photos/val/0dark/0.png" --json b.json
check "predict with the right numbers: as the model that keeps them" cmp -s a.json b.json
works "train without numbers" train --model resnet8 --dataset image-folder \
  --data "$cases/photos" --image-size 32 --batch-size 4 --epochs 1 --no-normalize --out raw.rung
check "--no-normalize: says so" stdout_has "not normalized (as --no-normalize says)"
refuses "pixels from 0 to 255" "give --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225" eval \
  bright.rung --data "$cases/photos" --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375
refuses "too few numbers" "--mean has 2 numbers, the images have 3 channels" eval bright.rung \
  --data "$cases/photos" --mean 0.5,0.5
refuses "a deviation of 0" "--std must be larger than 0" eval bright.rung --data "$cases/photos" \
  --std 0
misused "both" "excludes --mean" eval bright.rung --data "$cases/photos" --mean 0.5 --no-normalize
misused "convert without a dataset" "need --dataset" convert "$cases/bright_half.onnx" never.rung \
  --no-normalize

# Arrays of floats that are normalized already; labels are the network's own answers.
arrays=(--weights "$cases/fm_resnet8.pth" "${zoo[@]}" --dataset npy --data "$cases/npy_normalized")
works "arrays of floats" eval "${arrays[@]}" --json arrays.json
check "arrays of floats: are taken as they are" test "$(number arrays.json top1)" = 100.0
check "arrays of floats: says so" stdout_has "arrays of floats are taken as they are"
run eval "${arrays[@]}" --mean 0.286 --std 0.353 --json arrays.json
check "arrays of floats: unless told otherwise" between "$(number arrays.json top1)" 0 90

# Bytes are normalized as the images were that the network was trained on.
mkdir -p bytes/train bytes/test
npy_header() { # DESCR SHAPE: prints the beginning of an array
  local text="{'descr': '$1', 'fortran_order': False, 'shape': ($2), }"
  printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$text"
}
for part in train test; do
  { npy_header '|u1' '4, 28, 28'; head -c 3136 /dev/zero | tr '\0' 'p'; } >bytes/$part/images.npy
  { npy_header '|u1' '4,'; printf '\0\1\2\11'; } >bytes/$part/labels.npy
done
run convert "$cases/fm_resnet8.pth" fm.rung "${zoo[@]}" --dataset fashion-mnist
works "arrays of bytes" eval fm.rung --dataset npy --data bytes
check "arrays of bytes: says whose mean it is" stdout_has "(those of fashion-mnist's training images"
check "arrays of bytes: and nothing of their own" lacks stdout "npy's training images"

# Labels are needed where an accuracy is asked for, and only there.
mv bytes/train/labels.npy train_labels.npy
works "eval without training labels" eval fm.rung --dataset npy --data bytes
mv bytes/test/labels.npy test_labels.npy
refuses "eval without test labels" "bytes/test has no labels.npy" eval fm.rung --dataset npy --data bytes
works "calibration without labels" quantize fm.rung --dataset npy --data bytes --out fm_q.rung
check "calibration without labels: no accuracy" stdout_has "the accuracy is not computed"
refuses "training without labels" "there is no labels.npy" train "${zoo[@]}" --dataset npy \
  --data bytes --out never.rung
mv train_labels.npy bytes/train/labels.npy
works "calibration without test labels" quantize fm.rung --dataset npy --data bytes --out fm_q.rung
check "calibration without test labels: no accuracy" stdout_has "bytes/test has no labels.npy"

# Parts with images of another size are found before the work.
mv test_labels.npy bytes/test/labels.npy
{ npy_header '|u1' '4, 20, 20'; head -c 1600 /dev/zero; } >bytes/test/images.npy
for command in "train --model resnet8 --out never.rung" "eval fm.rung" \
  "quantize fm.rung --out never.rung"; do
  # shellcheck disable=SC2086  # words
  refuses "${command%% *}: other sizes" "test images are 20x20, training images 28x28" \
    $command --dataset npy --data bytes
done

# ---- images and classes that are not those of the network
other=(--weights "$cases/plain.pth" "${zoo[@]}" --dataset image-folder) # 10 classes, grey
works "calibration with other classes" quantize "${other[@]}" --data "$cases/three_classes" \
  --out other.rung --json other.json
check "other classes: no accuracy, which is said" stdout_has \
  "has 3: calibration needs no labels, but the accuracy is not computed"
check "other classes: no accuracy in the figures" grep -qF '"top1_quantized": null' other.json
check "a network for grey images gets them grey" stdout_has "made grey, resized to 37"
works "its model predicts" predict other.rung "$cases/photos/val/0dark/0.png"
check "its model has ten classes" test "$(grep -c '^ .* %' stdout)" -eq 5
mkdir pictures
cp "$cases"/three_classes/train/a/*.png pictures
works "calibration with pictures" quantize "${other[@]}" --data pictures --out pictures.rung
check "pictures: no accuracy" stdout_has "pictures has no folders of classes"
refuses "eval needs labels" "the model has 10 classes, image-folder" eval "${other[@]}" \
  --data "$cases/three_classes"
refuses "training needs labels" "pictures: has no sub-folders" train "${zoo[@]}" \
  --dataset image-folder --data pictures --out never.rung
refuses "grey images for a network of colors" "takes images of 3 channels, those of fashion-mnist" \
  eval bright.rung --dataset fashion-mnist

# ---- what outputs mean: the same network with other ends
figures_of() { # END: prints the percentage of class 2, and the loss
  run convert "$cases/$1.onnx" "$1.rung" --dataset image-folder
  run predict "$1.rung" "$cases/folder_valid/train/a/0.png" --json end.json --top 10
  awk '/"class": 2,/ { found = 1 } /"percent"/ && found { print $2; exit }' end.json
  run eval "$1.rung" --data ten --json end.json
  printf '%.4f\n' "$(number end.json loss)"
}
for class in 0 1 2 3 4 5 6 7 8 9; do
  mkdir -p "ten/train/$class" "ten/val/$class"
  cp "$cases/folder_valid/train/a/$((class % 4)).png" "ten/train/$class"
  cp "$cases/folder_valid/valid/a/$((class % 4)).png" "ten/val/$class"
done
figures_of static1 >plain_end
for end in with_softmax with_softmax_views with_log_softmax; do
  figures_of "$end" >other_end
  check "$end: the same percentage and loss" cmp -s plain_end other_end
done
figures_of with_sigmoid >other_end
check "Sigmoid: the loss of the logits" test "$(tail -n 1 other_end)" = "$(tail -n 1 plain_end)"
check "Sigmoid: says what the loss is of" stdout_has "the model ends in Sigmoid: the loss is that"
# A Softmax between moves of its numbers, one that is multiplied by 1, and one made of Exp and sums.
mkdir -p two/train/a two/train/b two/val/a two/val/b
for class in a b; do
  cp "$cases"/folder_valid/train/a/[01].png "two/train/$class"
  cp "$cases"/folder_valid/valid/a/[01].png "two/val/$class"
done
for end in end_plain end_transposed end_squeezed end_across end_times_one end_by_hand; do
  run convert "$cases/$end.onnx" "$end.rung" --dataset image-folder
  run predict "$end.rung" two/val/a/0.png two/val/a/1.png --json end.json
  grep '"percent"' end.json >predicted
  [[ $end != end_by_hand ]] ||
    check "$end: predict says so" stdout_has "the outputs are probabilities"
  run eval "$end.rung" --data two --json end.json
  { cat predicted; printf '%.4f %s\n' "$(number end.json loss)" "$(number end.json top1)"; } >ended
  [[ $end != end_plain ]] || cp ended plain_ended
  check "$end: figures of the logits" cmp -s ended plain_ended
done
check "outputs that are probabilities: eval says so once" \
  test "$(grep -c "the outputs are probabilities" stdout)" -eq 1
run predict end_plain.rung two/val/a/0.png missing.png two/val/a/1.png --json end.json
check "an unreadable picture keeps its place" test \
  "$(grep -c '"file"\|"error"' end.json)" -eq 4 -a "$(grep -n '"error"' end.json | wc -l)" -eq 1
for end in static1 with_softmax with_sigmoid; do
  works "$end: quantize" quantize $end.rung --data ten --param-bw 4 --config per_channel \
    --calibration-images 10 --out ${end}_q.rung
  run qat ${end}_q.rung --data ten --epochs 2 --batch-size 5 --lr 0.05 --schedule constant \
    --no-augment --out ${end}_qat.rung --json ${end}_qat.json
  run eval ${end}_qat.rung --data ten --json ${end}_loss.json
done
for end in with_softmax with_sigmoid; do
  check "$end: trains as the logits do" between "$(awk "BEGIN { print \
    $(number ${end}_loss.json loss) / $(number static1_loss.json loss) }")" 0.998 1.002
done
