# shellcheck shell=bash disable=SC2154
# rung convert, and weights in place of a model file. Uses the models of test_bad_input.sh.

works "convert to a checkpoint" convert good.rung good.pth --json convert.json
check "convert: figures are JSON" is_json convert.json
check "convert: counts parameters" between "$(number convert.json parameters)" 1000 1e9
works "convert to safetensors" convert good.rung good.safetensors
lenet=(--model lenet --dataset fashion-mnist)
works "convert a checkpoint to safetensors" convert good.pth back.safetensors "${lenet[@]}"
check "convert: the same weights" cmp -s good.safetensors back.safetensors
works "convert a checkpoint to a model" convert good.pth back.rung "${lenet[@]}"
works "convert: sizes by hand" convert good.safetensors back.pt --model lenet --in-channels 1 \
  --num-classes 10 --image-size 28
check "convert: *.pt is *.pth" cmp -s good.pth back.pt
works "convert to half precision" convert good.rung half.safetensors --dtype f16
check "convert: half the size" between "$(stat -c %s half.safetensors)" 1 \
  "$(awk -v v="$(stat -c %s good.safetensors)" 'BEGIN { print 0.6 * v }')"

run eval good.rung --test-images 500 --json eval_model.json
works "eval of a converted model" eval back.rung --test-images 500 --json eval_back.json
works "eval of weights" eval --weights good.pth --model lenet --test-images 500 \
  --json eval_weights.json
for kind in back weights; do
  check "eval of $kind: as of the model" \
    test "$(number eval_$kind.json loss)" = "$(number eval_model.json loss)"
done
works "quantize weights" quantize --weights good.safetensors --model lenet --out weights_q.rung \
  --calibration-images 64 --test-images 100
works "quantize the model they are of" quantize good.rung --out model_q.rung \
  --calibration-images 64 --test-images 100
run eval weights_q.rung --test-images 500 --json weights_q.json
run eval model_q.rung --test-images 500 --json model_q.json
check "quantize: weights give what the model gives" \
  test "$(number weights_q.json loss)" = "$(number model_q.json loss)"
works "qat of quantized weights" qat weights_q.rung --out weights_qat.rung "${tiny[@]}"

works "convert: a model for no dataset" convert good.pth for_nothing.rung --model lenet \
  --in-channels 1 --num-classes 10 --image-size 28
refuses "eval of a model for no dataset" "rung convert with --dataset" eval for_nothing.rung
works "convert: a model gets its dataset" convert for_nothing.rung for_fashion.rung \
  --dataset fashion-mnist
works "eval of a model that got its dataset" eval for_fashion.rung --test-images 500 \
  --json eval_got.json
check "eval of a model that got its dataset: as of the model" \
  test "$(number eval_got.json loss)" = "$(number eval_model.json loss)"

works "inspect of a checkpoint" inspect good.pth
check "inspect of a checkpoint: shows tensors" stdout_has "conv1.weight"
works "convert to ONNX" convert good.rung good.onnx
works "inspect of ONNX" inspect good.onnx
check "inspect of ONNX: shows the graph" stdout_has "Conv"
works "inspect --plan of ONNX" inspect good.onnx --plan --batch-size 2
refuses "inspect --plan of a checkpoint" "no graph" inspect good.pth --plan
mkdir -p converted
for command in eval "export --out converted" hash "quantize --out converted/x.rung"; do
  # shellcheck disable=SC2086
  refuses "$command: a file of another format" "rung convert" $command good.onnx
done
refuses "predict: a file of another format" "rung convert" predict good.pth photo.jpg

# Weights become weights without a network, and what a file is its content says.
works "convert weights to weights" convert good.pth plain.safetensors
works "convert weights back" convert plain.safetensors plain.pth
works "convert weights there again" convert plain.pth again.safetensors
check "convert weights to weights: bit for bit" cmp -s plain.safetensors again.safetensors
works "convert weights of half precision" convert half.safetensors half.pth
works "convert weights of half precision back" convert half.pth half_again.safetensors
check "convert weights to weights: types stay" cmp -s half.safetensors half_again.safetensors
for name in weights.ckpt weights.bin weights.pth.tar nameless; do
  cp good.pth "$name"
  works "convert $name" convert "$name" named.safetensors "${lenet[@]}"
  check "convert $name: the same weights" cmp -s good.safetensors named.safetensors
  works "inspect $name" inspect "$name"
  check "inspect $name: what it is" stdout_has "a PyTorch checkpoint"
done
cp good.onnx network && cp good.rung model
works "convert an ONNX file without a suffix" convert network network.rung
works "inspect an ONNX file without a suffix" inspect network
works "eval of a model file without a suffix" eval model --test-images 100
works "eval of weights without a suffix" eval --weights nameless --model lenet --test-images 500 \
  --json eval_named.json
check "eval of weights without a suffix: as of the model" \
  test "$(number eval_named.json loss)" = "$(number eval_model.json loss)"

variants=$here/../golden/pth/variants
works "convert: names keep their prefix" convert "$variants/lightning.ckpt" lightning.safetensors
check "convert: the prefix is told" stdout_has 'all names begin with "model.", which stays; with --model it goes'
for name in python2 checkpoint_with_args expanded no_checksums averaged profiled; do
  works "convert $name" convert "$variants/$name.pth" "$name.safetensors"
done
refuses "convert: quantized tensors" '"conv1.weight" is a quantized tensor' convert \
  "$variants/quantized.pth" never.safetensors
refuses "convert: sparse tensors" '"fc.weight" is a sparse tensor' convert "$variants/sparse.pth" \
  never.safetensors
refuses "inspect: a whole module" "torch.nn.modules.linear.Linear" inspect \
  "$variants/whole_module_within.pth"

printf '<!DOCTYPE html>\n<title>Sign in</title>\n' >page.pth
printf '{"error": "not found"}' >error.safetensors
gzip -c good.rung >packed.rung
cp "$here/../golden/cases/not_weights.h5" "$here/../golden/cases/pth_lfs.pth" .
while read -r file what; do
  refuses "inspect $file" "$file: is $what" inspect "$file"
  refuses "convert $file" "$file: is $what" convert "$file" never.safetensors
  refuses "eval of $file" "$file: is $what" eval "$file"
  refuses "eval of the weights $file" "$file: is $what" eval --weights "$file" --model lenet
done <<'FILES'
page.pth an HTML page
error.safetensors a JSON text
packed.rung a gzip file
not_weights.h5 an HDF5 file
pth_lfs.pth a git-lfs pointer
FILES

# A number that half precision does not hold: rung has none, so one is written into the file.
size=$(od -An -t u8 -N 8 good.safetensors)
at=$((8 + size + $(grep -ao '"fc3.bias":{[^}]*' good.safetensors | sed 's/.*data_offsets":\[//; s/,.*//')))
{ head -c "$at" good.safetensors; printf '\x00\x24\x74\x49'; tail -c +$((at + 5)) good.safetensors; } \
  >large.safetensors  # 1e6
for out in large_half.safetensors large_half.pth; do
  refuses "f16 of 1e6 in $out" '"fc3.bias" has 1000000 at position 0, F16 holds at most 65504' \
    convert large.safetensors "$out" --dtype f16
  check "f16 of 1e6: nothing is written" absent "$out"
  refuses "f16 of 1e6 in $out with a network" "--saturate" convert large.safetensors "$out" \
    --dtype f16 "${lenet[@]}"
  works "f16 of 1e6 in $out, saturated" convert large.safetensors "$out" --dtype f16 --saturate
  works "bf16 of 1e6 in $out" convert large.safetensors "$out" --dtype bf16
done
# The same of doubles, which float32 does not hold: 1e300 in a file of one number.
{ printf '\x40\0\0\0\0\0\0\0%-64s' '{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}'
  printf '\x9c\x75\x00\x88\x3c\xe4\x37\x7e'; } >double.safetensors
works "f64 as it is" convert double.safetensors double.pth
for out in double_single.safetensors double_single.pth; do
  for dtype in f32 f16 bf16; do
    refuses "$dtype of 1e300 in $out" '"w" has 1e+300 at position 0, F32 holds at most 3.40' \
      convert double.pth "$out" --dtype "$dtype"
    check "$dtype of 1e300: nothing is written" absent "$out"
  done
  works "f32 of 1e300 in $out, saturated" convert double.pth "$out" --dtype f32 --saturate
done
misused "saturating what stays f64" "--saturate" convert double.pth x.pth --dtype f64 --saturate
misused "saturating what is wide enough" "--saturate" convert large.safetensors x.pth --saturate

misused "eval of nothing" "MODEL" eval
misused "eval of two things" "MODEL" eval good.rung --weights good.pth --model lenet
misused "weights without a model" "--model" eval --weights good.pth
misused "a model without weights" "--weights" quantize --model lenet --out converted/x.rung
misused "convert: unknown extension" ".safetensors" convert good.rung converted/x.bin
misused "convert: weights of what" "--model" convert good.pth converted/x.rung
misused "convert: a model has its graph" "--model" convert good.rung converted/x.pth --model lenet
misused "convert: a model has its classes" "--num-classes" convert good.rung converted/x.pth \
  --num-classes 10
refuses "convert: a dataset of other images" "cifar10 has 10 classes" convert good.rung \
  converted/x.rung --dataset cifar10
refuses "convert: a dataset that only training knows" "only rung train" convert good.rung \
  converted/x.rung --dataset npy
misused "convert: half of a model" "--dtype" convert good.pth converted/x.rung "${lenet[@]}" \
  --dtype f16
misused "convert: unknown type" "bf16" convert good.rung converted/x.pth --dtype int8
misused "convert: no classes" "--num-classes" convert good.pth converted/x.rung --model lenet \
  --num-classes 0
refuses "convert: unknown model" "resnet20" convert good.pth converted/x.rung --model resnet21
refuses "convert: weights of another model" "missing" convert good.pth converted/x.rung \
  --model resnet8 --dataset fashion-mnist
refuses "convert: other classes" "of another shape" convert good.pth converted/x.rung \
  --model lenet --image-size 28 --in-channels 1 --num-classes 3
refuses "convert: missing file" "missing.pth" convert missing.pth converted/x.rung "${lenet[@]}"
refuses "convert: quantized" "rung export" convert sim.rung converted/x.pth
refuses "convert: no folder" "nowhere" convert good.rung nowhere/x.pth
head -c 5000 good.pth >short.pth
refuses "convert: truncated checkpoint" "short.pth" convert short.pth converted/x.rung "${lenet[@]}"
refuses "eval: weights of another model" "missing" eval --weights good.pth --model resnet8
refuses "an image size that vgg cannot have" "224" eval --weights good.pth --model vgg11
refuses "unknown dataset of weights" "fashion-mnist" eval --weights good.pth --model lenet \
  --dataset mnist
check "convert: refused calls wrote nothing" test -z "$(ls -A converted)"
