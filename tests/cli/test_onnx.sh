# shellcheck shell=bash disable=SC2154
# ONNX files of others: open shapes, names and lists that nobody vouches for, batch norms that stay.

cases=$here/../golden/cases/import

# no_control_characters FILE: nothing that a terminal obeys, neither C0 nor C1.
no_control_characters() { ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$1"; }
at_most() { [[ $(wc -c <"$2") -le $1 ]]; }

refuses "open height and width" "--input-shape input=1,3,h,w" inspect "$cases/dynamic_hw.onnx"
check "the message names no C++ field" lacks stderr input_shapes
works "a shape for an open input" inspect "$cases/dynamic_hw.onnx" --input-shape input=1,3,32,32
check "it is that of the input" stdout_has "[1, 3, 32, 32]"
works "convert with a shape" convert "$cases/dynamic_hw.onnx" open.rung \
  --input-shape input=1,3,32,32 --dataset cifar10
misused "a shape without extents" "expected NAME=1,3,H,W" inspect "$cases/dynamic_hw.onnx" \
  --input-shape input
misused "a shape with a letter" "expected NAME=1,3,H,W" inspect "$cases/dynamic_hw.onnx" \
  --input-shape input=1,3,h,32
misused "a shape twice" "given twice" inspect "$cases/dynamic_hw.onnx" \
  --input-shape input=1,3,32,32 --input-shape input=1,3,32,32
refuses "a shape for another input" "no input other" inspect "$cases/dynamic_hw.onnx" \
  --input-shape input=1,3,32,32 --input-shape other=1
misused "a shape for no ONNX file" "is for *.onnx" inspect open.rung --input-shape input=1,3,32,32

works "what was read can be written and read" convert "$cases/concat_4096.onnx" many.rung
works "4096 inputs come back" inspect many.rung
refuses "a list of thousands" "perm" inspect "$cases/perm_3k.onnx"
check "its message has some hundred characters" at_most 1200 stderr

for file in name_node_c1.onnx name_esc.pth name_esc.safetensors; do
  works "$file: inspect" inspect "$cases/$file"
  check "$file: no control characters" no_control_characters stdout
  run inspect "$cases/$file" --json -
  check "$file: figures" exits 0
  check "$file: none in the figures" no_control_characters stdout
  run convert "$cases/$file" escaped.rung --model lenet
  check "$file: none in messages" no_control_characters stderr
done
works "the plan of a model with such a name" inspect "$cases/name_node_c1.onnx" --plan
check "no control characters in the plan" no_control_characters stdout

works "a model with a batch norm that stays" convert "$cases/bn_stays.onnx" stays.rung \
  --dataset fashion-mnist
run quantize stays.rung --out stays_q.rung --calibration-images 16 --test-images 32
check "quantize: a batch norm that stays" exits 0
check "quantize says which, and why" stderr_has \
  "warning: batch norm bn is not folded: it reads x, which no layer computes; c pads with zeros"
run quantize stays.rung --fold-bn-in-sim --out stays_q.rung --calibration-images 16 --test-images 32
check "so it does where folding is simulated" stderr_has "warning: batch norm bn is not folded"
run quantize stays.rung --keep-bn --out stays_q.rung --calibration-images 16 --test-images 32
check "but not where they are to stay" lacks stderr "is not folded"
