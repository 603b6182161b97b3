# shellcheck shell=bash disable=SC2154
# Training that begins with weights of another task: a head for other classes is drawn anew.

base=$here/../golden/cases/pth_base3.pth # a resnet8 for 3 classes of color images
few=(--model resnet8 --dataset image-folder --data "$here/../golden/images/folder" --image-size 32
  --epochs 1 --batch-size 4)

works "another number of classes" train "${few[@]}" --init "$base" --lr 0 --out transfer.rung
check "another number of classes: says what is new" stdout_has \
  "a new head for 2 classes: fc.weight ([3, 64] there), fc.bias ([3] there)"
run export transfer.rung --out transferred --prefix net --onnx none
works "the same number of classes" train "${few[@]}" --init transferred/net.safetensors --lr 0 \
  --seed 9 --out same.rung
check "the same number of classes: nothing is new" lacks stdout "head"
works "a new head all the same" train "${few[@]}" --init transferred/net.safetensors --head fc \
  --seed 9 --lr 0 --out head.rung
check "a new head all the same: says what is new" stdout_has \
  "a new head for 2 classes: fc.weight, fc.bias"
check "a new head all the same: it is another" eval '! cmp -s same.rung head.rung'

refuses "--init-strict" '"fc.weight" needs [2, 64], the file has [3, 64]' train "${few[@]}" \
  --init "$base" --init-strict --out never.rung
refuses "a head that is none" "its head is fc.bias, fc.weight" train "${few[@]}" --init "$base" \
  --head classifier --out never.rung
refuses "weights of another network" '"conv1.bias"' train --model lenet --epochs 1 --init "$base" \
  --out never.rung
refuses "other channels" "is for images of 3 channels, here they have 1" train --model resnet8 \
  --epochs 1 --init "$base" --out never.rung
misused "--head without --init" "--init FILE" train "${few[@]}" --head fc --out never.rung
check "refused: nothing is written" absent never.rung
