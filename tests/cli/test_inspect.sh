# shellcheck shell=bash disable=SC2154
# rung inspect: lines of at most 100 columns that stay aligned whatever names are like, drawings.

run train --model resnet8 --dataset fashion-mnist --epochs 1 --train-images 64 --test-images 100 \
  --out seen.rung
run quantize seen.rung --param-bw 4 --calibration-images 64 --test-images 100 \
  --out seen4.rung

# widest FILE: how many columns of a terminal its widest line takes.
widest() { LC_ALL=C.UTF-8 wc -L <"$1"; }

works "inspect of a float model" inspect seen.rung --json seen.json
cp stdout seen.txt
check "inspect: at most 100 columns" between "$(widest stdout)" 60 100
check "inspect: a layer with its parameters and multiplications" \
  grep -qE '^conv1 +Conv +\[1, 16, 28, 28\] +144 +113k +576$' stdout
check "inspect: attributes that are no defaults" grep -qE '^    .*strides=\[2, 2\]' stdout
check "inspect: no others" lacks stdout "dilations"
check "inspect: the sum" grep -qE '^[0-9]+ layers, [0-9,]+ parameters, [0-9,]+ MACs per image$' stdout
check "inspect: figures have layers" grep -qF '"output_shape"' seen.json
check "inspect: figures have sums" between "$(number seen.json macs)" 1e6 1e8
works "inspect of a quantized model" inspect seen4.rung --json seen4.json
check "inspect of a quantized model: at most 100 columns" between "$(widest stdout)" 60 100
check "inspect of a quantized model: quantizers of a layer" \
  grep -qE '^conv1 +Conv .* in8 w4c$|^conv1 +Conv .* w4c' stdout
check "inspect of a quantized model: a range" \
  grep -qE '^conv1\.weight +4 +[a-z_]+ +per channel \(16\) +-[0-9.]+\.\.[0-9.]+ +[0-9.e-]+\.\.' stdout
check "inspect of a quantized model: bytes of both" \
  grep -qE '^parameters: [0-9,]+ bytes in float, [0-9,]+ quantized; [0-9]+ quantizers$' stdout
"$rung" inspect seen.rung 2>/dev/null | cat >piped.txt
check "inspect: a pipe gets the same" cmp -s piped.txt seen.txt
works "inspect --nodes" inspect seen4.rung --nodes --json nodes.json
check "inspect --nodes: what a node reads" grep -qE '^layer1\.0\.relu1 +Relu .* <- ' stdout
check "inspect --nodes: all attributes" stdout_has "dilations=[1, 1]"
check "inspect --nodes: quantizers are nodes" stdout_has "QuantizeDequantize"
check "inspect --nodes: all of a quantizer" stdout_has "estimator"
check "inspect --nodes: the same figures" cmp -s nodes.json seen4.json

# tensors NAME...: prints a safetensors file of tensors of one number with these names.
tensors() {
  local header='{' at=0 name i
  for name in "$@"; do
    [[ $at -eq 0 ]] || header+=,
    header+="\"$name\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[$at,$((at + 4))]}"
    at=$((at + 4))
  done
  header+='}'
  local length
  length=$(printf '%s' "$header" | wc -c)
  for i in 0 8 16 24 32 40 48 56; do printf '%b' "\\x$(printf %02x $((length >> i & 255)))"; done
  printf '%s' "$header"
  head -c "$at" /dev/zero
}
long=$(printf 'layer%.0s' {1..60})
tensors plain '重み.层' 'gewöhnlich' 'é́combined' "$long.weight" '𝛼🙂' >names.safetensors
works "inspect of names in all scripts" inspect names.safetensors
check "inspect of long names: at most 100 columns" between "$(widest stdout)" 60 100
check "inspect of long names: shortened in the middle" grep -qE '^layerlayer.*\.\.\..*layer\.weight ' \
  stdout
# Where the second column begins, in columns of a terminal.
starts() { grep F32 "$1" | while IFS= read -r line; do printf '%s\n' "${line%%F32*}|" |
  LC_ALL=C.UTF-8 wc -L; done | sort -u | wc -l; }
check "inspect of names in all scripts: columns are aligned" test "$(starts stdout)" -eq 1
check "inspect of names in all scripts: all of them" test "$(grep -c F32 stdout)" -eq 6

# ---- drawings
works "inspect --graph *.dot" inspect seen4.rung --graph net.dot
check "inspect --graph: a box" grep -qF 'label="Conv\nconv1\n' net.dot
check "inspect --graph: bits on the way" grep -qF '\n8 bit"' net.dot
check "inspect --graph: prints the table as well" stdout_has "conv1"
misused "inspect --graph: a picture of another kind" "must end in .svg or .dot" \
  inspect seen.rung --graph net.png
misused "inspect --graph: over the model" "names" inspect net.dot --graph net.dot
refuses "inspect --graph of weights" "no graph to draw" inspect names.safetensors --graph net.dot
mkdir programs
printf '#!/bin/sh\necho "$@" >arguments\necho "<svg>"; cat; echo "</svg>"\n' >programs/dot
chmod +x programs/dot
PATH=$PWD/programs:$PATH works "inspect --graph *.svg" inspect seen4.rung --graph net.svg
check "inspect --graph: Graphviz draws it" test "$(cat arguments)" = -Tsvg
check "inspect --graph: it gets the text on its standard input" \
  test "$(sed '1d;$d' net.svg | cksum)" = "$(cksum <net.dot)"
printf '#!/bin/sh\necho "Error: too large" >&2\nexit 3\n' >programs/dot
PATH=$PWD/programs:$PATH refuses "inspect --graph: Graphviz fails" \
  "(exit code 3): Error: too large" inspect seen.rung --graph failed.svg
check "inspect --graph: nothing is written then" absent failed.svg
mkdir nothing
PATH=$PWD/nothing run inspect seen.rung --graph none.svg
check "inspect --graph without Graphviz: exit code 1" exits 1
check "inspect --graph without Graphviz: one line on stderr" one_error_line
check "inspect --graph without Graphviz: the way out" \
  stderr_has "install graphviz, or write none.dot"
check "inspect --graph without Graphviz: nothing is written" absent none.svg
if command -v dot >/dev/null; then
  works "inspect --graph with Graphviz" inspect seen4.rung --graph real.svg
  check "inspect --graph with Graphviz: a picture" grep -qF '</svg>' real.svg
fi

for list in models datasets; do
  works "$list" $list
  check "$list: at most 100 columns" between "$(widest stdout)" 40 100
done
