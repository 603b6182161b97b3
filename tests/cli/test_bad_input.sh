# shellcheck shell=bash disable=SC2154,SC2034
# Bad input: one clear line, exit code 1, nothing half-written. Uses the files of other tests.

tiny=(--epochs 1 --train-images 64 --test-images 100)
run train --model lenet --out good.rung "${tiny[@]}"
check "a model to damage" exits 0
mkdir out

refuses "unknown model" "resnet20" train --model resnet21 --out out/x.rung "${tiny[@]}"
refuses "unknown dataset" "fashion-mnist" train --model lenet --dataset mnist --out out/x.rung \
  "${tiny[@]}"

refuses "no data folder" "nowhere" train --model lenet --data nowhere --out out/x.rung "${tiny[@]}"
refuses "eval without data" "nowhere" eval good.rung --data nowhere
mkdir data
cp "$("$rung" datasets | sed -n 's/^ *in //p' | head -n 1)"/*.gz data
head -c 100000 data/train-images-idx3-ubyte.gz >shorter.gz
mv shorter.gz data/train-images-idx3-ubyte.gz
refuses "truncated dataset" "train-images-idx3-ubyte" train --model lenet --data data \
  --out out/x.rung "${tiny[@]}"
printf 'no gzip' >data/t10k-labels-idx1-ubyte.gz
refuses "damaged dataset" "t10k-labels-idx1-ubyte" eval good.rung --data data

for command in eval inspect; do
  refuses "$command: missing model file" "missing.rung" "$command" missing.rung
done
head -c 10000 good.rung >truncated.rung
{ head -c 200 good.rung; printf '\1\2\3\4'; tail -c +205 good.rung; } >corrupt.rung
printf 'not a model' >text.rung
: >empty.rung
for file in truncated corrupt text empty; do
  refuses "eval: $file model" "$file.rung" eval "$file.rung"
  refuses "quantize: $file model" "$file.rung" quantize "$file.rung" --out out/x.rung
  refuses "qat: $file model" "$file.rung" qat "$file.rung" --out out/x.rung
  refuses "export: $file model" "$file.rung" export "$file.rung" --out out/exported
  refuses "inspect: $file model" "$file.rung" inspect "$file.rung"
done
refuses "a folder as a model" "out" eval out

# with_task TEXT: prints a model file of version 1, which has no checksum, with this task in it.
with_task() {
  local source=$here/../golden/model_files/version1.rung size header i
  size=$(od -An -t u8 -N 8 "$source")
  header=$(tail -c +9 "$source" | head -c "$size")
  header=${header/'{\"note\": \"kept\"}'/${1//'"'/'\"'}}
  for i in 0 8 16 24 32 40 48 56; do
    printf '%b' "\\x$(printf %02x $((${#header} >> i & 255)))"
  done
  printf '%s' "$header"
  tail -c +$((9 + size)) "$source"
}
# task CLASSES MEAN SIZE: prints a task of an old file with these numbers.
task() {
  printf '{"model":"net","dataset":"image-folder","class_names":[],"std":[1,1],"resize":0,' &&
    printf '"num_classes":%s,"mean":[0,%s],"image_size":%s}' "$@"
}
with_task "$(task 4 0.5 6)" >task.rung
works "a task that makes sense" inspect task.rung
with_task "$(task 1e300 0.5 6)" >task.rung
refuses "a task of 1e300 classes" "num_classes must be a whole number" inspect task.rung
with_task "$(task 4 1e39 6)" >task.rung
refuses "a task with a mean of 1e39" "float32" inspect task.rung
with_task "$(task 4 0.5 99999999999999999999)" >task.rung
refuses "a task for images of 1e20" "image_size must be a whole number" inspect task.rung
with_task '{"model":' >task.rung
refuses "a task that is cut off" "task.rung: section task: is no object of JSON; " inspect task.rung
# One that says other things: what is missing, what was expected, how to get it.
foreign=$here/../golden/model_files/version1.rung
for command in eval inspect; do
  refuses "$command: a task of another program" \
    "version1.rung: section task: has no model; expected what rung train" "$command" "$foreign"
done
# bad_task WHAT TEXT KEY VALUE: the task with another value for one of its keys is refused.
bad_task() {
  local text
  text=$(task 4 0.5 6)
  with_task "${text%?},\"$3\":$4}" >task.rung
  refuses "a task with $1" "section task: $2" inspect task.rung
  check "a task with $1: in our words" lacks stderr "json.exception"
}
bad_task "a number as a flag" "assumed must be true or false, got number" assumed 1
bad_task "a list as a text" "statistics_of must be a text, got array" statistics_of '[]'
bad_task "a text as a number" "last_lr must be a number, got string" last_lr '"x"'
bad_task "a number among texts" "conv_choices must be texts, a is number" conv_choices '{"a":1}'
bad_task "an unknown algorithm" "conv_choices: " conv_choices '{"a":"magic"}'

run export good.rung --out weights --prefix net
refuses "plain weights as a model" "net.safetensors" eval weights/net.safetensors
refuses "weights of another model" "conv1" train --model resnet8 --init weights/net.safetensors \
  --out out/x.rung "${tiny[@]}"
refuses "qat of a float model" "rung quantize" qat good.rung --out out/x.rung
run quantize good.rung --out sim.rung --calibration-images 64 --test-images 100
check "a sim to quantize again" exits 0
refuses "quantizing twice" "already" quantize sim.rung --out out/x.rung
misused "percentile of another scheme" "--percentile is for --scheme percentile, got sqnr" \
  quantize good.rung --percentile 99 --calibration-images 64 --test-images 100 --out out/x.rung
misused "scales of blocks without blocks" "--decompressed-bw needs --block-size" \
  quantize good.rung --decompressed-bw 8 --out out/x.rung
# Messages of the library name the option, not a function or a field...
refuses "fewer bits decompressed" "rung quantize: conv1.weight: --decompressed-bw must be at least" \
  quantize good.rung --block-size 1 --decompressed-bw 4 --out out/x.rung
refuses "blocks that fit no weight" "rung quantize: --block-size divides the input channels of no" \
  quantize good.rung --block-size 999983 --out out/x.rung
# ... but the field where the value came from a file.
printf '%s' '{"version": "1.0.0", "activation_encodings": [], "param_encodings": [{"bw": 8,
  "name": "conv1.weight", "dtype": "INT", "enc_type": "PER_BLOCK", "is_sym": true,
  "scale": [0.1], "offset": [-128], "block_size": 0}]}' >blocks.encodings
refuses "blocks of 0 in a file" "param_encodings[0].block_size must be" \
  quantize good.rung --encodings blocks.encodings --out out/x.rung
check "blocks of 0 in a file: names no option" lacks stderr "--block-size"
misused "floats of 8 bits" "needs --output-bw and --param-bw of 16 or 32, got 8" \
  quantize good.rung --data-type float --out out/x.rung
misused "floats with other edges" "--edge-bw is for integers only" quantize good.rung \
  --data-type float --output-bw 16 --param-bw 16 --edge-bw 16 --out out/x.rung
misused "Nesterov without a momentum" "--nesterov needs a --momentum, got 0" \
  train --model lenet --nesterov --momentum 0 --out out/x.rung "${tiny[@]}"
for given in "--momentum 0.5" --nesterov; do
  # shellcheck disable=SC2086  # the option and its value are words
  misused "$given of Adam" "${given% *} is for --optimizer sgd" \
    train --model lenet --optimizer adam $given --out out/x.rung "${tiny[@]}"
done
misused "drops of a cosine" "--milestones is for --schedule multistep" \
  train --model lenet --schedule cosine --milestones 1 --out out/x.rung "${tiny[@]}"
misused "steps of a cosine" "--step-size is for --schedule step" \
  qat sim.rung --schedule cosine --step-size 2 --out out/x.rung
misused "a factor of a cosine's drops" "--gamma is for --schedule step or multistep" \
  train --model lenet --gamma 0.5 --out out/x.rung "${tiny[@]}"
misused "milestones that fall" "--milestones must rise, got 5,3" \
  train --model lenet --schedule multistep --milestones 5,3 --out out/x.rung "${tiny[@]}"
misused "packed codes of floats" "--onnx-codes is for --onnx qdq or both" \
  export sim.rung --onnx float --onnx-codes packed --out out
misused "float biases of no file" "--float-biases is for --onnx qdq or both" \
  export sim.rung --onnx none --float-biases --out out
misused "int32 biases of floats" "--int32-biases is for integers only" quantize good.rung \
  --data-type float --output-bw 16 --param-bw 16 --int32-biases --out out/x.rung
misused "ranges that are learned and recomputed" \
  "--weight-ranges recomputed: --scheme range_learning_tf learns the ranges" \
  quantize good.rung --weight-ranges recomputed --scheme range_learning_tf --out out/x.rung
misused "a configuration that is nearly one" "do you mean per_channel?" \
  quantize good.rung --config per_chanel --out out/x.rung
misused "no name to write to" "--out is empty" train --model lenet --out "" "${tiny[@]}"
printf '%s' '{"defaults":{"ops":{},"params":{}},"params":{},"op_type":{},"supergroups":[],' \
  '"model_input":{},"model_output":{}}' >nothing_quantized.json
refuses "a configuration that quantizes nothing" "quantizes nothing of this model" \
  quantize good.rung --config nothing_quantized.json --out out/x.rung
refuses "scales finer than weights" "--decompressed-bw must be at least" quantize good.rung \
  --block-size 2 --decompressed-bw 2 --out out/x.rung
refuses "plain weights, what to do with them" "rung convert makes one of it" eval weights/net.safetensors
run quantize good.rung --data-type float --output-bw 16 --param-bw 16 --out float16.rung \
  --calibration-images 64 --test-images 100
refuses "integers of float quantizers" "--onnx float" export float16.rung --onnx qdq --out out
rm -rf out && mkdir out
refuses "missing configuration" "nothing.json" quantize good.rung --config nothing.json \
  --calibration-images 64 --test-images 100 --out out/x.rung
printf '{"defaults": {}}' >wrong.json
refuses "wrong configuration" "wrong.json" quantize good.rung --config wrong.json \
  --calibration-images 64 --test-images 100 --out out/x.rung

refuses "no folder to write to" "nowhere" train --model lenet --out nowhere/x.rung "${tiny[@]}"
refuses "a folder as output" "out" train --model lenet --out out "${tiny[@]}"
refuses "figures into no folder" "nowhere" eval good.rung --json nowhere/x.json
refuses "a rate that blows up" "learning rate" train --model lenet --lr 1e30 \
  --batch-size 16 --out out/x.rung "${tiny[@]}"
refuses "a milestone that makes no sense" "milestone" train --model lenet --schedule multistep \
  --milestones=-3 --out out/x.rung "${tiny[@]}"

# A full disk: /dev/full for figures and text, a small file system (needs root) for models.
if [[ -c /dev/full ]]; then
  refuses "figures to a full disk" "/dev/full" models --json /dev/full
  last="models >/dev/full"
  "$rung" models >/dev/full 2>stderr
  code=$?
  check "text to a full disk: exit code 1" exits 1
  check "text to a full disk: one line" one_error_line
fi
if [[ $EUID -eq 0 ]] && mkdir full && mount -t tmpfs -o size=64k tmpfs full 2>/dev/null; then
  refuses "model to a full disk" "full/x.rung" train --model lenet --out full/x.rung "${tiny[@]}"
  check "a full disk keeps nothing" test -z "$(ls -A full)"
  refuses "export to a full disk" "full" export good.rung --out full --prefix net
  check "a full disk keeps no weights" test -z "$(ls -A full)"
  umount full
fi
if [[ $EUID -ne 0 ]]; then
  mkdir locked && chmod a-w locked
  refuses "a folder that is locked" "locked" train --model lenet --out locked/x.rung "${tiny[@]}"
fi

check "bad input writes nothing" test -z "$(ls -A out)"

# ---- files that would replace each other
cp good.rung kept.rung
ln -s good.rung link.rung
for out in good.rung ./good.rung link.rung "$PWD/good.rung"; do
  misused "quantize over its model, $out" "--out $out would replace what MODEL names" \
    quantize good.rung --out "$out"
done
misused "qat over its model" "--force replaces it" qat sim.rung --out sim.rung
misused "convert over its input" "OUT good.rung would replace what IN names" \
  convert good.rung good.rung
misused "training over its weights" "would replace what --init names" \
  train --model lenet --init weights/net.safetensors --out weights/net.safetensors
misused "training over what it goes on from" "would replace what --resume names" \
  train --model lenet --resume good.rung --out good.rung
misused "a sim over its configuration" "would replace what --config names" \
  quantize good.rung --config wrong.json --out wrong.json
misused "figures over the model" "--out and --json are the same file" \
  train --model lenet --out new.rung --json ./new.rung
misused "figures over what is read" "--json good.rung would replace what MODEL names" \
  eval good.rung --json good.rung
misused "figures over a picture" "--json cat.jpg would replace what IMAGE names" \
  predict good.rung dog.jpg "$(touch cat.jpg; echo cat.jpg)" --json cat.jpg
misused "a log over the model" "--log-file good.rung would replace what MODEL names" \
  eval good.rung --log-file good.rung
misused "a log over the figures" "--json and --log-file are the same file" \
  eval good.rung --log-file x.txt --json x.txt
check "what would be replaced stays" cmp -s good.rung kept.rung
works "convert over its input, forced" convert good.rung good.rung --force
check "convert over its input, forced: the same model" cmp -s good.rung kept.rung

# ---- files that are written without being named
mkdir beside
small=(--model lenet --epochs 1 --train-images 40 --test-images 10 --threads 1)
for name in w.best w.checkpoints; do
  misused "figures over $name" "--json beside/$name is a file that --out leads to" \
    train "${small[@]}" --out beside/w --keep-best --json "beside/$name"
  misused "a log over $name of qat" "--log-file ./beside/$name is a file that --out leads to" \
    qat sim.rung --out beside/w --patience 1 --log-file "./beside/$name"
done
misused "figures over a calibration" "--json beside/fig.calibration is a file that --out leads to" \
  quantize good.rung --out beside/fig --json beside/fig.calibration
misused "a calibration over its model" "would replace what MODEL names" \
  quantize "$(cp good.rung beside/y.calibration; echo beside/y.calibration)" --out beside/y
for name in q.safetensors q.onnx q_qdq.onnx q.encodings q_torch.encodings; do
  cp sim.rung "beside/$name"
  misused "export over its model $name" "beside/$name, which --out leads to, would replace" \
    export "beside/$name" --out beside --prefix q --onnx both
  check "export over its model $name: it stays" cmp -s sim.rung "beside/$name"
  rm "beside/$name"
  misused "figures over $name" "--json beside/$name is a file that --out leads to" \
    export sim.rung --out beside --prefix q --onnx both --json "beside/$name"
  misused "a log over $name" "--log-file beside/$name is a file that --out leads to" \
    export sim.rung --out beside --prefix q --onnx both --log-file "beside/$name"
done
works "figures in the name of a best model that is not kept" \
  train "${small[@]}" --out beside/w --json beside/w.best
check "they are there" is_json beside/w.best
cp sim.rung beside/q.onnx
run export beside/q.onnx --out beside --prefix q --force
check "export over its model, forced" exits 0

# The weights of the last step are huge, which only the test notices: there is no loss behind it.
refuses "a test loss that is not finite" "evaluation: the loss is " \
  train --model lenet --lr 1e30 --train-images 20 --epochs 1 --test-images 10 --threads 1 \
  --out beside/huge
check "a test loss that is not finite: names a node" grep -qE "(Conv|Gemm|Relu|MaxPool) [a-z0-9]+: " stderr
check "a test loss that is not finite: says where to go on" stderr_has "the newest checkpoint is"
check "a test loss that is not finite: no model" absent beside/huge
refuses "a validation loss that is not finite" "evaluation: the loss is " \
  train --model lenet --lr 1e30 --train-images 24 --val-split 0.2 --epochs 1 --test-images 10 \
  --threads 1 --out beside/vast
check "a validation loss that is not finite: no checkpoint" test -z \
  "$(compgen -G 'beside/vast.checkpoints/*.rung')"
run train --model lenet --lr 1e30 --train-images 20 --epochs 1 --test-images 10 --threads 1 \
  --check-numerics off --out beside/unseen
check "not looked at: exit code 0" exits 0
check "not looked at: NaN is written so" lacks stdout "nan"
