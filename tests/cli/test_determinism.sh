# shellcheck shell=bash disable=SC2154
# The same seed gives the same bytes, whoever prepares the images.

train_lenet() {
  run train --model lenet --epochs 2 --batch-size 32 --train-images 256 --test-images 100 "$@"
  check "train $*: exit code 0" exits 0
}
train_lenet --seed 5 --out a.rung
train_lenet --seed 5 --out b.rung
check "the same seed gives the same file" cmp -s a.rung b.rung
train_lenet --seed 5 --workers 0 --out c.rung
check "no workers give the same file" cmp -s a.rung c.rung
train_lenet --seed 5 --workers 3 --out d.rung
check "three workers give the same file" cmp -s a.rung d.rung
train_lenet --seed 6 --out e.rung
check "another seed gives another file" eval '! cmp -s a.rung e.rung'

quantize_lenet() {
  run quantize a.rung --calibration-images 64 --test-images 100 "$@"
  check "quantize $*: exit code 0" exits 0
}
quantize_lenet --out qa.rung
quantize_lenet --out qb.rung --workers 0
check "quantizing twice gives the same file" cmp -s qa.rung qb.rung

# What --autotune measured stays in the file: later commands use it, and give the same bits.
small="--train-images 64 --test-images 32 --batch-size 32"
# shellcheck disable=SC2086  # the options are words
works "train --autotune" train --model resnet8 --epochs 1 --seed 5 $small --autotune --out tuned.rung
check "--autotune: the file has the choices" grep -aq "conv_choices" tuned.rung
works "quantize a tuned model" quantize tuned.rung --calibration-images 32 --test-images 32 --out tq.rung
for name in ta tb; do
  # shellcheck disable=SC2086
  works "qat of a tuned model: $name" qat tq.rung --epochs 1 --seed 5 $small --out $name.rung
done
check "a tuned model trains the same way twice" cmp -s ta.rung tb.rung
check "qat keeps the choices" grep -aq "conv_choices" ta.rung
