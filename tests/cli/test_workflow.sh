# shellcheck shell=bash disable=SC2154
# train -> eval -> quantize -> qat -> export -> inspect, on few images.

small=(--train-images 512 --test-images 500)

works "train" train --model resnet8 --dataset fashion-mnist --epochs 2 --batch-size 32 --lr 0.05 \
  --schedule cosine --seed 3 --out model.rung --json train.json "${small[@]}"
check "train: a line per epoch" test "$(grep -c '^epoch' stdout)" -eq 2
check "train: figures are JSON" is_json train.json
check "train: figures say what was asked for" grep -qE '"--schedule": "cosine"' train.json
check "train: it learned something" between "$(number train.json top1)" 30 100
for key in loss top1_train seconds lr; do
  check "train: two epochs have $key" test "$(grep -c "\"$key\"" train.json)" -eq 2
done
check "train: the file is a safetensors file" grep -qaF '"__metadata__"' model.rung

works "eval" eval model.rung --dataset fashion-mnist --test-images 500 --json eval.json
check "eval: figures are JSON" is_json eval.json
check "eval: as training said" test "$(number eval.json top1)" = "$(number train.json top1)"
check "eval: has loss" between "$(number eval.json loss)" 0 100
check "eval: has images_per_s" between "$(number eval.json images_per_s)" 1 1e9

works "quantize 8 bit" quantize model.rung --scheme sqnr --param-bw 8 --output-bw 8 \
  --calibration-images 256 --test-images 500 --out w8a8.rung --json w8a8.json
check "quantize: figures say what was asked for" grep -qE '"--rounding": "nearest"' w8a8.json
check "quantize: figures are JSON" is_json w8a8.json
check "quantize: top1_float is the float model's" \
  test "$(number w8a8.json top1_float)" = "$(number eval.json top1)"
check "quantize: 8 bit lose little" between "$(number w8a8.json top1_quantized)" \
  "$(awk -v v="$(number eval.json top1)" 'BEGIN { print v - 5 }')" 100
check "quantize: counts quantizers" between "$(number w8a8.json quantizers)" 10 100
run eval w8a8.rung --test-images 500 --json sim.json
check "eval of a quantized model is what quantize said" \
  test "$(number sim.json top1)" = "$(number w8a8.json top1_quantized)"

run quantize model.rung --scheme tf --config per_tensor --param-bw 3 --output-bw 3 \
  --calibration-images 256 --test-images 500 --out w3a3.rung --json w3a3.json
check "quantize: a bad result has a hint" stdout_has \
  "points: try --scheme sqnr, --config default, --edge-bw 8, rung qat"
run quantize model.rung --scheme range_learning_tf_enhanced --param-bw 2 --output-bw 2 --edge-bw 8 \
  --calibration-images 256 --test-images 500 --out w2a2.rung
check "quantize: a hint says only what was not done" stdout_has "points: try rung qat"
works "quantize 4 bit with learned ranges" quantize model.rung --scheme range_learning_tf \
  --config per_channel --param-bw 4 --output-bw 4 --edge-bw 8 --calibration-images 256 \
  --test-images 500 --out w4a4.rung --json w4a4.json
works "qat" qat w4a4.rung --epochs 2 --lr 0.01 --lr-encodings 0.0001 --batch-size 32 \
  --out qat.rung --json qat.json "${small[@]}"
check "qat: figures are JSON" is_json qat.json
check "qat: starts where quantize ended" \
  test "$(number qat.json top1_before)" = "$(number w4a4.json top1_quantized)"
check "qat: has top1" between "$(number qat.json top1)" 20 100
run eval qat.rung --test-images 500 --json sim.json
check "eval of a qat model is what qat said" \
  test "$(number sim.json top1)" = "$(number qat.json top1)"
works "qat goes on from its own file" qat qat.rung --epochs 1 --out qat2.rung "${small[@]}"
check "qat: says that ranges are learned" stdout_has "ranges learned"

works "quantize for LSQ" quantize model.rung --scheme lsq_tf_enhanced --config per_channel \
  --param-bw 3 --output-bw 3 --edge-bw 8 --calibration-images 256 --test-images 500 --out lsq.rung \
  --json lsq.json
works "qat with LSQ and a seed" qat lsq.rung --epochs 2 --lr 0.01 --batch-size 32 --seed 5 \
  --out lsq_qat.rung --json lsq_qat.json "${small[@]}"
check "qat with LSQ: scales learn at a rate of their own" stdout_has "ranges learned at 0.0005"
check "qat with LSQ: is no worse than before" between "$(number lsq_qat.json top1)" \
  "$(awk -v v="$(number lsq.json top1_quantized)" 'BEGIN { print v - 5 }')" 100
works "quantize with recomputed weight ranges and stochastic rounding" quantize model.rung \
  --weight-ranges recomputed --rounding stochastic --param-bw 4 --calibration-images 256 \
  --test-images 500 --out recomputed.rung
works "qat with recomputed weight ranges" qat recomputed.rung --epochs 1 --lr 0.01 --batch-size 32 \
  --out recomputed_qat.rung "${small[@]}"
run inspect recomputed.rung --json recomputed.json
run inspect recomputed_qat.rung --json recomputed_qat.json
check "qat with recomputed weight ranges: they have moved" \
  test "$(grep -c . recomputed.json)" -eq "$(grep -c . recomputed_qat.json)" -a \
  "$(cat recomputed.json)" != "$(cat recomputed_qat.json)"
misused "recomputed and learned at once" "cannot be recomputed as well" quantize model.rung \
  --weight-ranges recomputed --scheme range_learning_tf --out no.rung
works "quantize in grouped blocks" quantize model.rung --param-bw 4 --block-size 8 \
  --decompressed-bw 8 --calibration-images 256 --test-images 500 --out lpbq.rung
run inspect lpbq.rung
check "quantize in grouped blocks: inspect shows them" stdout_has "grouped to 8 bits"
works "export in grouped blocks" export lpbq.rung --out exported_lpbq --prefix net
check "export in grouped blocks: encodings say LPBQ" grep -qF '"LPBQ"' exported_lpbq/net.encodings
works "quantize to float16" quantize model.rung --data-type float --param-bw 16 --output-bw 16 \
  --calibration-images 256 --test-images 500 --out half.rung --json half.json
check "quantize to float16: loses next to nothing" between "$(number half.json top1_quantized)" \
  "$(awk -v v="$(number eval.json top1)" 'BEGIN { print v - 1 }')" 100

# Names mean what they do in a version of AIMET.
sim_of() {  # --aimet and more
  run quantize model.rung --calibration-images 64 --test-images 100 --out named.rung "$@"
  run inspect named.rung
}
sim_of
check "ours: a search, per channel" stdout_has "Quantized model: post_training_sqnr"
check "ours: the configuration" stdout_has "configuration default, rules rung"
sim_of --aimet 2.42
check "AIMET 2.42: min-max" stdout_has "Quantized model: post_training_tf,"
check "AIMET 2.42: its default is per channel" stdout_has "configuration aimet_2_42, rules 2.42"
sim_of --aimet 2.42 --config per_tensor --scheme tf_enhanced
check "AIMET 2.42: its tf_enhanced" stdout_has "Quantized model: post_training_tf_enhanced"
check "AIMET 2.42: per tensor" stdout_has "configuration aimet_2_42_per_tensor, rules 2.42"
sim_of --aimet 2024.10
check "AIMET of 2024: tf_enhanced was this" stdout_has "Quantized model: post_training_sqnr"
check "AIMET of 2024: its default is per tensor" stdout_has "configuration aimet_2024, rules 2024.10"
sim_of --config aimet_2024_per_channel --scheme range_learning_tf_enhanced
check "a configuration brings its rules" stdout_has "training_range_learning_with_sqnr_init"
sed '/"rung"/d' "$here/../../apps/configs/aimet_2_42.json" >as_aimets.json
sim_of --aimet 2.42 --config as_aimets.json
check "a file that names no rules has the version's" stdout_has "as_aimets.json, rules 2.42"
sed 's/"rung": {[^}]*}/"rung": {"fuse_depthwise": false}/' \
  "$here/../../apps/configs/aimet_2_42.json" >begun.json
sim_of --aimet 2.42 --config begun.json
check "a file that only changes rules begins with the version's" stdout_has "begun.json, rules 2.42"
sim_of --config begun.json
check "a file that only changes rules begins with ours" stdout_has "begun.json, rules own"
cp "$here/../../apps/configs/aimet_2024.json" of_2024.json
misused "a file's rules against --aimet" "the file names the rules 2024.10 (those of AIMET" \
  quantize model.rung --aimet 2.42 --config of_2024.json --out no.rung
sim_of --aimet 2024.10 --config of_2024.json
check "a file's rules as --aimet's" stdout_has "of_2024.json, rules 2024.10"
sim_of --config of_2024.json
check "a file's rules alone" stdout_has "of_2024.json, rules 2024.10"
misused "two versions" "that version has no such configuration" quantize model.rung \
  --aimet 2024.10 --config htp --out no.rung
misused "two versions, by name" "it has aimet_2_42_per_tensor and aimet_2_42" quantize model.rung \
  --aimet 2.42 --config aimet_2024 --out no.rung

works "quantize for htp" quantize model.rung --config htp --calibration-images 256 \
  --test-images 500 --out htp.rung
run inspect htp.rung --why
check "quantize for htp: flatten has no quantizer" \
  grep -qE '^flatten +none' stdout
int8='{"bitwidth": 8, "dtype": "int"}'
sed "s/\"hw_version\"/\"supported_kernels\": [{\"activation\": $int8, \"param\": $int8}], &/" \
  "$here/../../apps/configs/htp.json" >target.json
run quantize model.rung --config target.json --param-bw 4 --calibration-images 256 \
  --test-images 500 --out htp4.rung --json htp4.json
check "quantize: warns of bitwidths that the target has not" \
  stderr_has "rung: warning: defaults.supported_kernels: 8/4"
check "quantize: has warnings" grep -qF '"defaults.supported_kernels: 8/4' htp4.json

works "quantize with batch norms" quantize model.rung --keep-bn --scheme percentile \
  --percentile 99.9 --calibration-images 256 --test-images 500 --out bn.rung
run inspect bn.rung
check "quantize --keep-bn: batch norms are still there" stdout_has "BatchNormalization"
works "qat with batch norms" qat bn.rung --epochs 1 --lr 0.001 --out bn_qat.rung "${small[@]}"
check "qat: says that ranges are fixed" stdout_has "ranges fixed"

works "quantize with batch norms folded in simulation" quantize model.rung --fold-bn-in-sim \
  --config per_channel --param-bw 4 --calibration-images 256 --test-images 500 --out sim.rung \
  --json sim_bn.json
run inspect sim.rung
check "quantize --fold-bn-in-sim: batch norms are simulated" stdout_has "FoldedBatchNormalization"
check "quantize --fold-bn-in-sim: as many quantizers as with --fold-bn" \
  test "$(number sim_bn.json quantizers)" = "$(number w8a8.json quantizers)"
works "qat with batch norms folded in simulation" qat sim.rung --epochs 2 --freeze-bn-after 1 \
  --lr 0.01 --batch-size 32 --out sim_qat.rung --json sim_qat.json "${small[@]}"
check "qat --freeze-bn-after: has top1" between "$(number sim_qat.json top1)" 20 100
works "export with batch norms folded in simulation" export sim_qat.rung --out exported_sim \
  --prefix net
run inspect exported_sim/net.safetensors
check "export: a folded layer has its bias" stdout_has "conv1.bias"
check "export: folded batch norms are gone" lacks stdout "bn1"
check "export: encodings have the folded weights" grep -qF '"conv1.weight"' \
  exported_sim/net.encodings

# Biases are int32 in files; a simulation has float ones unless asked for.
notes "export with integers" export w4a4.rung --out integers --prefix net --onnx qdq \
  --json integers.json
check "export: tells how far int32 biases move the outputs" stderr_has " dB (signal to noise)"
check "export: its notes are JSON, too" grep -qF " dB (signal to noise)" integers.json
works "export with float biases" export w4a4.rung --out floats --prefix net --onnx qdq \
  --float-biases
check "export: float biases move nothing" lacks stderr " dB"
works "quantize with int32 biases" quantize model.rung --config per_channel --param-bw 4 \
  --output-bw 4 --int32-biases --calibration-images 256 --test-images 500 --out int32.rung \
  --json int32.json
run eval int32.rung --test-images 500 --json sim.json
check "eval: int32 biases are in the file" \
  test "$(number sim.json top1)" = "$(number int32.json top1_quantized)"
works "export of simulated int32 biases" export int32.rung --out int32 --prefix net --onnx qdq
check "export: simulated int32 biases move nothing" lacks stderr " dB"
notes "export of packed codes" export int32.rung --out packed --prefix net --onnx qdq \
  --onnx-codes packed
check "export: says what does not run packed codes" stderr_has "ONNX Runtime"
check "export: packed codes take less" test "$(stat -c %s packed/net_qdq.onnx)" -lt \
  "$(($(stat -c %s int32/net_qdq.onnx) * 60 / 100))"

entries() { grep -cF '"name"' "$1"; }
works "export" export qat.rung --out exported --prefix net --json export.json
check "export: figures are JSON" is_json export.json
for name in net.safetensors net.onnx net.encodings net_torch.encodings; do
  check "export: wrote $name" test -s "exported/$name"
  check "export: lists $name" grep -qF "\"exported/$name\"" export.json
done
check "export: encodings have version 1.0.0" grep -qF '"1.0.0"' exported/net.encodings
check "export: encodings are JSON" is_json exported/net.encodings
works "export 0.6.1" export qat.rung --out exported061 --prefix net --encodings-version 0.6.1
check "export 0.6.1: encodings have it" grep -qF '"0.6.1"' exported061/net.encodings
works "export 2.0.0" export qat.rung --out exported200 --prefix net --encodings-version 2.0.0
check "export 2.0.0: encodings have it" grep -qF '"2.0.0"' exported200/net.encodings
check "export 2.0.0: biases are int32" grep -qF '"int32"' exported200/net.encodings
check "export 2.0.0: says who wrote it" grep -qF '"package": "rung"' exported200/net.encodings
check "export 2.0.0: activations have unsigned codes" grep -qF '"uint8"' exported200/net.encodings
works "export 2.1.0" export qat.rung --out exported210 --prefix net --encodings-version 2.1.0 \
  --all-derived --activations-as signed
check "export 2.1.0: encodings have it" grep -qF '"2.1.0"' exported210/net.encodings
check "export 2.1.0: activations have signed codes" lacks exported210/net.encodings '"uint8"'
check "export 2.1.0: what follows has entries" test "$(entries exported210/net.encodings)" -gt \
  "$(entries exported200/net.encodings)"
works "export --derived" export qat.rung --out derived --prefix net --encodings-version 2.0.0 \
  --derived
check "export --derived: int32 biases are left out" lacks derived/net.encodings '"int32"'
works "export --int32-biases" export qat.rung --out biases100 --prefix net --int32-biases
check "export --int32-biases: version 1.0.0 has them" grep -qF '"bw": 32' biases100/net.encodings
notes "export --onnx both" export qat.rung --out exported_qdq --prefix net --onnx both
check "export --onnx both: wrote the float graph" test -s exported_qdq/net.onnx
check "export --onnx both: quantizers are nodes" grep -qaF DequantizeLinear exported_qdq/net_qdq.onnx
check "export --onnx both: and are not in the other" lacks exported_qdq/net.onnx DequantizeLinear
works "export of a float model" export model.rung --out plain --prefix net --onnx none
check "export of a float model: weights only" only_file_in plain net.safetensors
works "export of a float model to ONNX" export model.rung --out plain --prefix net
check "export of a float model to ONNX: wrote it" test -s plain/net.onnx
works "train from exported weights" train --model resnet8 --init plain/net.safetensors --epochs 1 \
  --lr 0 --out again.rung --json again.json "${small[@]}"
check "train from weights: starts where they are" between "$(number again.json top1)" 20 100

works "inspect" inspect qat.rung --json inspect.json
check "inspect: shows the graph" stdout_has "layer1.0.conv1"
check "inspect: shows quantizers" stdout_has "per channel"
check "inspect: figures are JSON" is_json inspect.json
check "inspect: lists all quantizers" \
  test "$(grep -c '"scale"' inspect.json)" -eq "$(number w4a4.json quantizers)"
works "inspect --why" inspect qat.rung --why --json why.json
check "inspect --why: explains a quantizer" stdout_has "model_input.is_input_quantized"
check "inspect --why: explains what has none" \
  grep -qE '^conv1 +none +supergroups\[0\] Conv, Relu: inside \(conv1, relu\)' stdout
check "inspect --why: figures are JSON" is_json why.json
check "inspect --why: explains all quantizers" \
  test "$(grep -c '"state": "quantizer' why.json)" -eq "$(number w4a4.json quantizers)"
works "a file with quantizers becomes a model" convert exported_qdq/net_qdq.onnx imported.rung
works "inspect of a model with quantizers of its own" inspect imported.rung
check "inspect of a model with quantizers of its own: names no configuration" lacks stdout \
  "configuration"
for file in exported_qdq/net_qdq.onnx imported.rung; do
  works "inspect --why of $file" inspect "$file" --why --json why.json
  check "inspect --why of $file: they came with it" stdout_has "the quantizers came with the ONNX"
  check "inspect --why of $file: each, and what has none" \
    grep -qE '^[^ ]+ +none +the imported file has none$' stdout
  check "inspect --why of $file: names no configuration" test -z \
    "$(grep -E 'model_input|defaults|op_type|params' stdout why.json)"
done
refuses "inspect --why of a float model" "needs a quantized model" inspect model.rung --why
works "inspect --plan" inspect model.rung --plan --batch 16
check "inspect --plan: forward and backward" stdout_has "backward"
works "inspect --plan --after" inspect model.rung --plan --after group
check "inspect --plan --after: the network's chains" stdout_has " + "
misused "--after without --plan" "add --plan" inspect model.rung --after group
misused "a pass that is none" "represent" inspect model.rung --plan --after fusing
works "inspect of weights" inspect plain/net.safetensors
check "inspect of weights: shows tensors" stdout_has "conv1.weight"

works "models" models --json models.json
check "models: lists resnet20" stdout_has "resnet20"
check "models: figures are JSON" is_json models.json
works "datasets" datasets --json datasets.json
check "datasets: lists fashion-mnist" stdout_has "fashion-mnist"
check "datasets: figures are JSON" is_json datasets.json

# --json - keeps standard output pure; everything else goes to stderr.
for arguments in "eval model.rung --test-images 100" "models" "inspect model.rung" \
  "train --model lenet --epochs 1 --train-images 64 --test-images 100 --out lenet.rung"; do
  # shellcheck disable=SC2086
  run $arguments --json -
  check "--json -: exit code 0" exits 0
  check "--json -: standard output is JSON ($arguments)" is_json stdout
  check "--json -: people read stderr ($arguments)" test -s stderr
done
