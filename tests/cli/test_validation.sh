# shellcheck shell=bash disable=SC2154
# What is chosen while a model is trained is chosen by validation images, never by the test's.

few=(--model lenet --train-images 300 --test-images 100 --batch-size 16 --seed 3 --lr 0.05)
no_val=("${few[@]}" --epochs 2)

works "training without validation" train "${no_val[@]}" --out no_val.rung --json no_val.json
check "no validation: nothing of it in the figures" lacks no_val.json top1_val
check "no validation: a test at the end" test "$(grep -c '^test: 100 images' stdout)" -eq 1

works "--keep-best" train "${few[@]}" --epochs 4 --keep-best --out best.rung --json best.json
check "--keep-best: a tenth is held out, which is said" stdout_has \
  "validation images: 10 % of the training images, held out by --seed 3"
check "--keep-best: counts" stdout_has "270 training, 30 validation and 100 test images"
check "--keep-best: validation after each epoch" test "$(grep -c '"top1_val"' best.json)" -eq 5
check "--keep-best: the best model is there" test -s best.rung.best
run eval best.rung.best --test-images 100 --json best_eval.json
check "--keep-best: the best model is what the figures say" test \
  "$(number best_eval.json top1)" = "$(sed -n '/"best"/,/}/s/ *"top1": //p' best.json)"
run eval best.rung --test-images 100 --json best_eval.json
check "--keep-best: top1 is that of the last" test "$(number best_eval.json top1)" = \
  "$(number best.json top1)"

# Test images do not choose: other ones give the same models.
works "other test images" train "${few[@]}" --test-images 7 --epochs 4 --keep-best --out other.rung
check "other test images: the same best model" cmp -s best.rung.best other.rung.best
check "other test images: the same model" cmp -s best.rung other.rung
works "--val-split" train "${few[@]}" --epochs 4 --val-split 0.1 --out split.rung
check "--val-split 0.1: as --keep-best does" cmp -s best.rung split.rung
works "another share" train "${few[@]}" --epochs 1 --val-split 0.25 --out split.rung
check "another share: counts" stdout_has "225 training, 75 validation and 100 test images"

works "--patience" train "${few[@]}" --lr 0 --epochs 9 --patience 2 --out patient.rung \
  --json patient.json
check "--patience: stops" stdout_has \
  "stopped after 2 epochs that were not better on the validation images than epoch 1"
check "--patience: figures" test "$(grep -c '"loss"' patient.json)" -eq 3
check "--patience: keeps the best" test -s patient.rung.best

# Killed in the middle: the same models, early stop and figures.
patient=("${few[@]}" --epochs 6 --patience 3)
run train "${patient[@]}" --out whole_val.rung --json whole_val.json
mkdir val_resumed
"$rung" train "${patient[@]}" --checkpoint-every 5 --out val_resumed/m.rung >stdout 2>stderr &
pid=$!
for _ in $(seq 400); do
  compgen -G "val_resumed/m.rung.checkpoints/step-*[5-9].rung" >/dev/null && break
  sleep 0.05
done
kill -TERM "$pid"
wait "$pid"
refuses "resumed with another split" "validation was 10 % of the training images, held out by" \
  train "${patient[@]}" --val-split 0.2 --resume auto --out val_resumed/m.rung
works "resumed" train "${patient[@]}" --resume auto --out val_resumed/m.rung \
  --json val_resumed/m.json
check "resumed: the same bytes" cmp -s whole_val.rung val_resumed/m.rung
check "resumed: the same best" cmp -s whole_val.rung.best val_resumed/m.rung.best
check "resumed: the same validation" test "$(grep top1_val whole_val.json)" = \
  "$(grep top1_val val_resumed/m.json)"

# Three parts, and folders that are named.
parts=$here/../golden/cases/folder_valid
mkdir three
cp -r "$parts/train" three/train
cp -r "$parts/valid" three/test
cp -r "$here/../golden/cases/three_classes/val" three/Validation
folder=(--model resnet8 --dataset image-folder --image-size 32 --batch-size 5 --epochs 1)
works "three parts" train "${folder[@]}" --data three --out three.rung
check "three parts: validation images" stdout_has "validation images: in three/Validation"
check "three parts: counts" stdout_has "12 training, 6 validation and 12 test images"
works "--val-data" train "${folder[@]}" --data "$parts" --val-data three/Validation --out named.rung
check "--val-data: counts" stdout_has "12 training, 6 validation and 12 test images"
check "--val-data: the same model" cmp -s three.rung named.rung
run train "${folder[@]}" --data "$parts" --val-data "$parts/train" --out named.rung
check "--val-data: training images are warned of" stderr_has \
  "12 of 12 validation images are training images, too"
refuses "--val-data of other classes" "the model has 3 classes" train "${folder[@]}" \
  --data "$parts" --val-data "$here/../golden/images/folder/val" --out never.rung
refuses "--val-data of fixed files" "use --val-split" train "${no_val[@]}" --val-data three \
  --out never.rung
misused "both" "give one" train "${no_val[@]}" --val-split 0.1 --val-data three --out never.rung
misused "nothing to choose by" "--val-split 0 leaves none" train "${no_val[@]}" --val-split 0 \
  --keep-best --out never.rung

run quantize best.rung --param-bw 3 --calibration-images 64 --test-images 100 --out val_q.rung
works "qat" qat val_q.rung "${few[@]:2}" --epochs 2 --keep-best --out val_qat.rung --json qat_best.json
check "qat: validates" test "$(grep -c '"top1_val"' qat_best.json)" -eq 3
check "qat: the best model is there" test -s val_qat.rung.best

# Batch norms learn nothing from a batch of one image.
works "a last batch of one" train --model resnet8 --train-images 33 --test-images 10 \
  --batch-size 16 --epochs 1 --out lonely.rung
check "a last batch of one: is left out" stdout_has "33 images in batches of 16: the last one of"
works "a last batch of one without batch norms" train --model lenet --train-images 33 \
  --test-images 10 --batch-size 16 --epochs 1 --out lonely.rung
check "without batch norms: is used" lacks stdout "left out"
