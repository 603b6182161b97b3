# shellcheck shell=bash disable=SC2154
# rung diff: networks and dumps that are the same, and where others begin to differ. Uses the files
# of inspect's tests.

run train --model resnet8 --dataset fashion-mnist --epochs 1 --train-images 64 --test-images 100 \
  --out compared.rung
run quantize compared.rung --param-bw 4 --calibration-images 64 --test-images 100 \
  --out compared4.rung
few=(--images 4)

works "diff of a model and itself" diff compared4.rung compared4.rung "${few[@]}" --json same.json
check "diff of a model and itself: says so" stdout_has "no number differs"
check "diff of a model and itself: how they were matched" \
  grep -qE '^[0-9]+ tensors matched by name, 0 by position$' stdout
check "diff: figures are JSON" is_json same.json
check "diff: figures have no difference" grep -qF '"first_difference": ""' same.json

# differs NAME ARGS...: exit code 1 and nothing on stderr, as of cmp.
differs() {
  local name=$1
  shift
  run "$@"
  check "$name: exit code 1" exits 1
  check "$name: stderr is empty" test ! -s stderr
}
differs "diff of float and quantized" diff compared.rung compared4.rung "${few[@]}" \
  --json differ.json
check "diff of float and quantized: batch norms are folded" \
  stdout_has "compared.rung: its batch norms are folded"
check "diff of float and quantized: the input comes first" stdout_has "first difference: input"
check "diff of float and quantized: at most 100 columns" \
  between "$(tail -n +3 stdout | LC_ALL=C.UTF-8 wc -L)" 60 100
check "diff of float and quantized: says that there are more" stdout_has "--rows 0 shows all"
check "diff of float and quantized: figures are JSON" is_json differ.json
differs "diff within a tolerance that is too small" diff compared.rung compared4.rung "${few[@]}" \
  --tolerance 1e-6
works "diff within a tolerance that is large" diff compared.rung compared4.rung "${few[@]}" \
  --tolerance 1000
differs "diff --quiet" diff compared.rung compared4.rung "${few[@]}" --quiet
check "diff --quiet: nothing on standard output" test ! -s stdout

for format in npy safetensors; do
  run dump compared4.rung "${few[@]}" --format "$format" --out "compared_$format"
  run dump compared4.rung "${few[@]}" --format "$format" --codes --out "compared_codes_$format"
  works "diff with its dump, $format" diff compared4.rung "compared_$format" "${few[@]}"
  check "diff with its dump, $format: all tensors" lacks stdout "only in"
  works "diff with its dump of codes, $format" diff "compared_codes_$format" compared4.rung \
    "${few[@]}" --batch-size 3
  works "diff of two dumps, $format" diff "compared_$format" "compared_codes_$format"
done
refuses "diff with a dump of fewer images" "rows, but" diff compared4.rung compared_npy --images 5
# One byte of a weight, and what is behind it stays.
printf '\x40' | dd of=compared_codes_npy/layer1.0.conv2.weight.npy bs=1 seek=200 conv=notrunc \
  2>/dev/null
differs "diff of a code" diff compared_npy compared_codes_npy --json code.json
check "diff of a code: where" stdout_has "first difference: layer1.0.conv2.weight (parameter)"
check "diff of a code: one number" test "$(number code.json different)" = 0 -a \
  "$(grep -c '"different": 1,' code.json)" = 1
check "diff of a code: one tensor" stdout_has "1 of "

# Another tool's arrays are files alone.
mkdir theirs
cp compared_npy/layer1.0.relu1.npy compared_npy/fc.npy theirs
works "diff with another tool's arrays" diff compared4.rung theirs "${few[@]}"
check "diff with another tool's arrays: those that are there" \
  stdout_has "2 tensors matched by name, 0 by position; only in the first: "

run export compared4.rung --out compared_export --prefix net --onnx qdq --float-biases
run diff compared4.rung compared_export/net_qdq.onnx "${few[@]}" --json qdq.json
check "diff with its QDQ file: all tensors are matched" \
  grep -qE '^[1-9][0-9]+ tensors matched by name, 0 by position' stdout
check "diff with its QDQ file: its input has the same codes" \
  grep -qE '^ +"different": 0,$' <(grep -A 7 '"name": "input"' qdq.json)

mkdir empty_folder
refuses "diff with an empty folder" "there are no tensors" diff compared4.rung empty_folder
mkdir other_folder
cp compared_npy/fc.npy other_folder/other.npy
refuses "diff of what has nothing in common" "no tensor of one has the name" \
  diff compared4.rung other_folder "${few[@]}"
refuses "diff with nothing" "nothing.rung" diff compared4.rung nothing.rung
misused "diff of one" "missing: B" diff compared4.rung
misused "diff with a negative tolerance" "--tolerance" diff a b --tolerance=-1
