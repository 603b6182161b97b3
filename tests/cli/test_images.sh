# shellcheck shell=bash disable=SC2154
# Folders of images: train -> eval -> quantize -> qat -> predict, and what goes wrong with them.

photos=$here/../golden/images/folder
small_model=(--model resnet8 --dataset image-folder --image-size 32 --batch-size 4 --lr 0.02)

works "train on a folder" train "${small_model[@]}" --data "$photos" --epochs 12 --seed 1 \
  --out photos.rung --json photos.json
check "train on a folder: counts images" stdout_has "12 training and 4 test images"
check "train on a folder: it learned" between "$(number photos.json top1)" 75 100
works "eval on a folder" eval photos.rung --data "$photos" --json photos_eval.json
check "eval on a folder: as training said" \
  test "$(number photos_eval.json top1)" = "$(number photos.json top1)"
works "eval without workers" eval photos.rung --data "$photos" --workers 0 --json photos_eval0.json
check "eval without workers: the same loss" \
  test "$(number photos_eval0.json loss)" = "$(number photos_eval.json loss)"
works "quantize on a folder" quantize photos.rung --data "$photos" --calibration-images 8 \
  --out photos_w8a8.rung
works "qat on a folder" qat photos_w8a8.rung --data "$photos" --epochs 1 --batch-size 4 \
  --out photos_qat.rung

works "predict" predict photos.rung "$photos"/val/*/* --json predict.json
check "predict: figures are JSON" is_json predict.json
check "predict: a block per picture" test "$(grep -c '^ .* %' stdout)" -eq 8
check "predict: names of the classes" stdout_has "flower"
# Over all pictures the most probable class is right as often as eval said.
right=$(awk '/"file"/ { split($0, p, "/val/"); split(p[2], q, "/") }
             /"top"/ { first = 1 } /"name"/ && first { n += index($0, "\"" q[1] "\"") > 0; first = 0 }
             END { print n * 25 }' predict.json)
check "predict: agrees with eval" \
  awk -v a="$right" -v b="$(number photos_eval.json top1)" 'BEGIN { exit a != b }'
works "predict with a quantized model" predict photos_w8a8.rung "$photos"/val/china/* --top 1
check "predict --top 1: one class per picture" test "$(grep -c '^ .* %' stdout)" -eq 2
printf 'temple\nblossom\n' >labels.txt
works "predict with labels" predict photos.rung "$photos"/val/china/* --labels labels.txt
check "predict: the given names" stdout_has "temple"
printf 'temple\n' >one_label.txt
refuses "predict with too few labels" "one_label.txt" predict photos.rung \
  "$photos"/val/china/06.jpeg --labels one_label.txt
refuses "predict: labels without end" "/dev/zero: is not a regular file" predict photos.rung \
  "$photos"/val/china/06.jpeg --labels /dev/zero
mkfifo pipe
last="predict --labels pipe"
timeout 20 "$rung" predict photos.rung "$photos"/val/china/06.jpeg --labels pipe >stdout 2>stderr
code=$?
check "predict: labels of a pipe: exit code 1" exits 1
check "predict: labels of a pipe: says so" stderr_has "pipe: is not a regular file"
odd=$here/../golden/images/odd
works "predict: a picture of 2000 x 1" predict photos.rung "$odd/2000x1.png" "$odd/wide20000.png" \
  "$odd/cmyk_noadobe.jpg" "$odd/noiend.png" "$odd/zeropad.jpg"
for file in empty_scan.jpg trunc.bmp; do
  run predict photos.rung "$odd/$file"
  check "predict: $file is damaged" stderr_has "$file: the image is damaged"
done
printf 'no image' >broken.jpg
run predict photos.rung broken.jpg "$photos"/val/china/06.jpeg --json predict_broken.json
check "predict: a broken picture: exit code 1" exits 1
check "predict: a broken picture is named" stderr_has "broken.jpg: is a text file; expected a JPEG, PNG or BMP image"
check "predict: the other picture goes on" stdout_has "china"
check "predict: a broken picture: figures are JSON" is_json predict_broken.json
run train --model lenet --epochs 1 --train-images 64 --test-images 100 --out grey.rung
works "predict with a model for grey images" predict grey.rung "$photos"/val/china/06.jpeg
check "predict: names of Fashion-MNIST's classes" grep -qE \
  '%  (T-shirt/top|Trouser|Pullover|Dress|Coat|Sandal|Shirt|Sneaker|Bag|Ankle boot)$' stdout
misused "predict without pictures" "IMAGE" predict photos.rung

cp -r "$photos" damaged
printf 'no image' >damaged/train/china/broken.jpg
head -c 300 damaged/val/flower/06.jpeg >damaged/val/flower/cut.jpg
refuses "a damaged image" "val/flower/cut.jpg" eval photos.rung --data damaged
works "a damaged image can be skipped" eval photos.rung --data damaged --skip-corrupt \
  --json skipped.json
check "skipping: says how many" stdout_has "skipped 1 images"
check "skipping: the others count" test "$(number skipped.json top1)" = \
  "$(number photos.json top1)"
check "skipping: counts in the figures" test "$(number skipped.json skipped)" -eq 1
works "training can skip, too" train "${small_model[@]}" --data damaged --epochs 2 --skip-corrupt \
  --out skipping.rung
check "training: each skipped image counts once" stdout_has "skipped 2 images"

cp "$odd/empty_scan.jpg" "$odd/trunc.bmp" damaged/val/flower/
works "damaged images of all kinds are skipped" eval photos.rung --data damaged --skip-corrupt
check "skipping: all are counted" stdout_has "skipped 3 images"

refuses "a folder without a name" "--data DIR" eval photos.rung
cp -r "$photos" more
mkdir -p more/train/zebra more/val/zebra
cp more/val/china/06.jpeg more/train/zebra
cp more/val/china/06.jpeg more/val/zebra
refuses "another number of classes" "the model has 2 classes" eval photos.rung --data more
mv more/train/flower more/train/lion
mv more/val/flower more/val/lion
rm -r more/*/zebra
refuses "other classes" "class 1 of the model is flower" eval photos.rung --data more
refuses "an empty class" "train/none: there is no image" train "${small_model[@]}" --data \
  "$(mkdir -p more/train/none more/val/none && echo more)" --out never.rung
refuses "images of another size than the dataset's" "28x28" train --model lenet --image-size 32 \
  --out never.rung
check "refused: nothing was written" absent never.rung
