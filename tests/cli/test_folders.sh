# shellcheck shell=bash disable=SC2154
# Which folders are training images and which are test images.

parts=$here/../golden/cases/folder_valid
tiny_model=(--model resnet8 --dataset image-folder --image-size 32 --batch-size 4 --epochs 1)

works "train and valid" train "${tiny_model[@]}" --data "$parts" --out parts.rung
check "train and valid: are parts, not classes" stdout_has "12 training and 12 test images"
check "train and valid: says which is which" stdout_has \
  "training images in $parts/train, test images in $parts/valid"
works "a part itself is trained on" train "${tiny_model[@]}" --data "$parts/train" --out part.rung
check "a part itself: the other is tested on" stdout_has "cases/folder_valid/valid"
check "a part itself: the same model" cmp -s parts.rung part.rung
works "eval of a part" eval parts.rung --data "$parts/train" --json on_train.json
check "eval of a part: says which" stdout_has "images in $parts/train"
works "eval of the other" eval parts.rung --data "$parts" --json on_valid.json
check "eval of the other: says which" stdout_has "images in $parts/valid"
check "eval of a part: of that one" test "$(number on_train.json loss)" != \
  "$(number on_valid.json loss)"

mkdir odd
cp -r "$parts/train" odd/train
cp -r "$parts/valid" odd/rest
refuses "a part that is not understood" "beside it: rest. Parts are called train (training, trn), " \
  train "${tiny_model[@]}" --data odd --out never.rung
mv odd/rest odd/Validation
works "another spelling" train "${tiny_model[@]}" --data odd --out odd.rung
check "another spelling: the same model" cmp -s parts.rung odd.rung

cp odd/train/a/0.png odd/Validation/a/copy.png
run train "${tiny_model[@]}" --data odd --out odd.rung
check "a copied image: exit code 0" exits 0
check "a copied image is warned of" stderr_has "warning: 1 of 13 test images are training images"
check "a copied image is named" stderr_has \
  "odd/Validation/a/copy.png is odd/train/a/0.png"
rm -r odd/Validation
run quantize parts.rung --data odd/train --calibration-images 4 --out odd_q.rung
check "no parts: exit code 0" exits 0
check "no parts: warned of" stderr_has "warning: odd/train has no parts"

# Folders that are called neither as parts nor as classes.
mkdir -p halves/tr halves/te
for half in tr te; do cp -r "$parts/train/." "halves/$half"; done
refuses "parts of other names" "te, tr hold the same folders each (" \
  train "${tiny_model[@]}" --data halves --out never.rung
mkdir -p exams/test exams/exam exams/val
for name in test exam val; do cp "$parts/train/a/0.png" "exams/$name"; done
refuses "classes that are called as parts" "are taken for parts, by their names, but exam" \
  train "${tiny_model[@]}" --data exams --out never.rung
mkdir -p single/only
cp -r "$parts/train/." single/only
run train "${tiny_model[@]}" --data single --out single.rung
check "one class: is warned of" stderr_has "warning: there is only one class, only"
