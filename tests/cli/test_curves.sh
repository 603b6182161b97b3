# shellcheck shell=bash disable=SC2154
# Curves of training: --log-dir and --curve of train and qat; what eval says of classes.

# scalars DIR: the scalars of all event files in a folder, one a line: TAG STEP VALUE.
scalars() {
  for file in "$1"/events.out.tfevents.*; do
    od -An -v -tu1 -w1 "$file" | awk -f "$here/event_scalars.awk"
  done
}
# scalar DIR TAG: the values of a tag in the order of the steps.
scalar() { scalars "$1" | awk -v tag="$2" '$1 == tag' | sort -n -k2 | cut -d' ' -f3; }
# figures FILE KEY: all values of a key, in the order of the file.
figures() { sed -n "s/^ *\"$2\": \([-+.0-9eE]*\),\{0,1\}\$/\1/p" "$1"; }
# same_numbers A B: equal as 32 bit floats, and at least one.
same_numbers() {
  paste -d' ' <(echo "$1") <(echo "$2") | awk '
    { d = $1 - $2; m = $2 < 0 ? -$2 : $2 }
    NF != 2 || d > 6e-8 * m || -d > 6e-8 * m { exit bad = 1 }
    END { exit bad || NR == 0 }'
}

logged=(--model lenet --train-images 256 --test-images 100 --batch-size 16 --epochs 3 --seed 3
  --val-split 0.2)
works "train without curves" train "${logged[@]}" --out bare.rung
works "train with curves" train "${logged[@]}" --out drawn.rung --log-dir logs/a --json drawn.json
check "curves: the same model" cmp -s bare.rung drawn.rung
check "the console shows top5" grep -q "^epoch 1/3 .*train .* %, top5 .* %  validation .* %, top5 " stdout
check "the console shows top5 of the test" grep -q "^test: 100 images, top1 .* %, top5 .* %, loss " stdout
for pair in loss/train:loss top1/train:top1_train top5/train:top5_train loss/validation:loss_val \
  top1/validation:top1_val top5/validation:top5_val; do
  check "scalar $pair equals --json" \
    same_numbers "$(scalar logs/a "${pair%:*}")" "$(figures drawn.json "${pair#*:}")"
done
check "top1 of the test" same_numbers "$(scalar logs/a top1/test)" "$(number drawn.json top1)"
check "top5 of the test" same_numbers "$(scalar logs/a top5/test)" "$(number drawn.json top5)"
check "a scalar for each step" test "$(scalar logs/a loss/step | wc -l)" -eq 39
check "metrics.csv has the epochs" test "$(wc -l <logs/a/metrics.csv)" -eq 4
check "metrics.csv has the losses" same_numbers \
  "$(tail -n +2 logs/a/metrics.csv | cut -d, -f2)" "$(figures drawn.json loss)"
refuses "the curves of another run" "has the curves of another run" \
  train "${logged[@]}" --out other.rung --log-dir logs/a

refuses "the curves of another run, to go on" "has the curves of another run" \
  train "${logged[@]}" --out other.rung --log-dir logs/a --resume auto
works "the same run from its beginning" train "${logged[@]}" --out drawn.rung --log-dir logs/a \
  --resume auto --json drawn.json
check "from its beginning: a scalar for each step" test "$(scalar logs/a loss/step | wc -l)" -eq 39

works "a model for qat" quantize bare.rung --scheme range_learning_tf --param-bw 4 \
  --calibration-images 100 --test-images 100 --out curves_w4.rung
tuned=(qat curves_w4.rung --epochs 3 --lr 0.01 --train-images 256 --test-images 100 --batch-size 16
  --seed 3)
works "qat with curves" "${tuned[@]}" --out whole_curves.rung --log-dir logs/whole --json whole.json
check "qat: ranges of activations" test "$(scalar logs/whole range_max/relu1 | wc -l)" -eq 3
# Killed again and again: the same scalars as in one go, each once.
killed=("${tuned[@]}" --checkpoint-every 1 --resume auto --log-dir logs/killed)
for _ in 1 2 3; do
  kill_at_checkpoint killed_curves.rung "${killed[@]}"
  check "killed: the run has not ended" absent killed_curves.rung
done
run "${killed[@]}" --out killed_curves.rung
check "killed: went on" stdout_has "going on from killed_curves.rung.checkpoints/step-"
check "killed: exit code 0" exits 0
check "killed: a file for each part" test "$(find logs/killed -name 'events*' | wc -l)" -ge 3
check "killed: the same model" cmp -s whole_curves.rung killed_curves.rung
check "killed: the same scalars" \
  test "$(scalars logs/whole | sort)" = "$(scalars logs/killed | sort)"
check "killed: the same accuracies" test "$(cut -d, -f1-8 logs/whole/metrics.csv)" = \
  "$(cut -d, -f1-8 logs/killed/metrics.csv)"

works "a curve that nobody sees" "${tuned[@]}" --curve --out curve.rung
misused "curves in place of the model" "same.rung" "${tuned[@]}" --out same.rung --log-dir same.rung
refuses "curves in no folder" "cannot create the folder bare.rung/x" train "${logged[@]}" --out other.rung \
  --log-dir bare.rung/x

# Classes.
works "eval by class" eval drawn.rung --test-images 500 --json eval.json
check "eval: JSON" is_json eval.json
check "eval: at most 100 columns" \
  test "$(sed -n '/^class /,/^Ankle boot .*  *[0-9]*$/p' stdout | wc -L)" -le 100
check "eval: a row for each class" test "$(grep -c ' (.*)$\| -$' stdout)" -ge 10
check "eval: top5" grep -q "top1 .* %  top5 .* %  loss" stdout
check "eval: names of classes" grep -q '"Ankle boot"' eval.json
matrix() { sed -n '/"confusion_matrix"/,/^  \]/p' eval.json | grep -o '[0-9][0-9]*'; }
check "eval: a matrix of 500 images" test "$(matrix | paste -sd+ | bc)" -eq 500
check "eval: the diagonal is top1" between "$(number eval.json top1)" \
  "$(matrix | awk 'NR % 11 == 1 { s += $1 } END { print s / 5 - 0.001 }')" \
  "$(matrix | awk 'NR % 11 == 1 { s += $1 } END { print s / 5 + 0.001 }')"
# The last bias is not a number any more: the outputs of all images have NaN.
works "weights to spoil" convert drawn.rung spoiled.safetensors
size=$(stat -c %s spoiled.safetensors)
printf '\000\000\300\177' | dd of=spoiled.safetensors bs=1 seek=$((size - 4)) conv=notrunc status=none
run eval --weights spoiled.safetensors --model lenet --test-images 50 --json spoiled.json
check "eval, NaN: exit code 0" exits 0
check "eval, NaN: says how many" stderr_has "the outputs of 50 images have NaN: they count as wrong"
check "eval, NaN: none is right" test "$(number spoiled.json top1)" = 0.0
check "eval, NaN: in the figures" test "$(number spoiled.json without_prediction)" = 50
works "eval, three classes" eval drawn.rung --test-images 500 --rows 3
check "eval, three classes: says what is left out" stdout_has "7 classes more: --rows 0 shows all"
