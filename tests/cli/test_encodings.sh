# shellcheck shell=bash disable=SC2154
# Ranges that come from a file: quantize --encodings, and eval --outputs, which shows that nothing
# was lost.

run train --model resnet8 --dataset fashion-mnist --epochs 1 --batch-size 32 --lr 0.05 --seed 3 \
  --train-images 512 --test-images 200 --out float.rung
run quantize float.rung --param-bw 4 --calibration-images 128 --test-images 200 --out sim.rung
run export sim.rung --out sim --prefix net
works "eval --outputs" eval sim.rung --test-images 200 --outputs sim.safetensors
run inspect sim.safetensors
check "eval --outputs: one row per image" stdout_has "[200, 10]"

for file in net.encodings net_torch.encodings; do
  works "quantize --encodings $file" quantize float.rung --encodings "sim/$file" --out back.rung \
    --json back.json
  check "quantize --encodings $file: says what it did" stdout_has " 0 without an entry switched off"
  check "quantize --encodings $file: figures are JSON" is_json back.json
  run eval back.rung --test-images 200 --outputs back.safetensors
  check "quantize --encodings $file: the outputs are the same" cmp -s sim.safetensors back.safetensors
done

sed 's/"conv1.weight"/"conv9.weight"/' sim/net.encodings >other.encodings
refuses "quantize --encodings: an entry of nothing" '"conv9.weight"' quantize float.rung \
  --encodings other.encodings --out no.rung
check "quantize --encodings: nothing is written then" absent no.rung
works "quantize --skip-unknown" quantize float.rung --encodings other.encodings --skip-unknown \
  --out part.rung --json part.json
check "quantize --skip-unknown: what has no entry is switched off" \
  stdout_has " 1 without an entry switched off, 1 entries skipped"
check "quantize --skip-unknown: names it" stdout_has "switched off: conv1.weight"
check "quantize --skip-unknown: figures name it" grep -qF '"conv1.weight"' part.json
misused "--skip-unknown alone" "is for --encodings" quantize float.rung --skip-unknown \
  --out no.rung

# Modules under the names that AIMET's prepare_model makes.
sed 's/"layer\([123]\).0.relu1"/"layer\1.0.relu"/; s/"layer\([123]\).0.relu2"/"layer\1.0.module_relu_1"/' \
  sim/net_torch.encodings >prepared.encodings
works "quantize --encodings with AIMET's names" quantize float.rung --encodings prepared.encodings \
  --out back.rung
check "quantize --encodings with AIMET's names: says so" \
  stdout_has " 6 modules matched by their position"
run eval back.rung --test-images 200 --outputs back.safetensors
check "quantize --encodings with AIMET's names: the outputs are the same" \
  cmp -s sim.safetensors back.safetensors
works "export --module-names-of" export back.rung --out named --prefix net \
  --module-names-of prepared.encodings
check "export --module-names-of: has the names" \
  grep -qF '"layer3.0.module_relu_1"' named/net_torch.encodings
check "export --module-names-of: has no others" lacks named/net_torch.encodings '"layer3.0.relu2"'
