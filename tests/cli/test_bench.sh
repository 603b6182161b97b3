# shellcheck shell=bash disable=SC2154
# rung bench: every mode gives its figures.

small="--model resnet8 --batch-size 4 --image-size 8 --steps 2 --threads 1"
for mode in train qat infer calibrate; do
  # shellcheck disable=SC2086  # the options are words
  works "bench $mode" bench "$mode" $small --json bench.json
  for key in median_s min_s max_s images_per_s peak_rss_mib others_cpu_s steps reorders arena_mib; do
    check "bench $mode: has $key" grep -qE "\"$key\": [0-9.e+-]+" bench.json
  done
done
works "bench ops" bench ops --steps 1 --threads 1 --json bench.json
for op in Conv Gemm LSTM Relu Softmax MaxPool Transpose Mish; do
  check "bench ops: times $op" grep -qE "\"op\": \"$op\"" bench.json
done
check "bench ops: as many times as ops" \
  test "$(grep -oE '"forward_s": [0-9.e-]+' bench.json | wc -l)" -eq "$(grep -o '"op":' bench.json | wc -l)"
check "bench ops: prints them" stdout_has "BatchNormalization"
misused "bench ops of a network" "neither FILE nor --model" bench ops --model resnet8
# shellcheck disable=SC2086
works "bench qat with learned ranges" bench qat $small --scheme range_learning_tf --json bench.json
check "bench qat: compares with float" grep -qE '"over_float": [0-9.]+' bench.json
# shellcheck disable=SC2086
works "bench qat alone" bench qat $small --alone --fold-bn --json bench.json
check "bench qat --alone: compares with nothing" lacks bench.json float_median_s
# shellcheck disable=SC2086
works "bench calibrate with a search" bench calibrate $small --scheme tf_enhanced --json bench.json
check "bench calibrate: compares with a forward" grep -qE '"over_forward": [0-9.]+' bench.json
# shellcheck disable=SC2086
works "bench with its tables" bench train $small --per-op --memory
check "bench --per-op: has rates" stdout_has "GFLOP/s"
check "bench --per-op: fuses batch norm, addition and relu" stdout_has "bn+add+relu"
check "bench --memory: names the peak" stdout_has "most memory in use"
# shellcheck disable=SC2086
works "bench with Winograd" bench train $small --per-op --conv-algorithm winograd
check "bench --conv-algorithm winograd: runs it" stdout_has "winograd:"
# shellcheck disable=SC2086
works "bench without Winograd" bench train $small --per-op --conv-algorithm direct --json bench.json
# shellcheck disable=SC2086
works "bench with errors" bench train $small --error
check "bench --error: names the layers" stdout_has "layer1.0.conv1"
refuses "bench of an unknown algorithm" "direct" bench train --conv-algorithm fft
misused "bench of an unknown mode" "calibrate" bench fly
refuses "bench of an unknown scheme" "tf_enhanced" bench qat --scheme best

# A network of a file; what it says itself cannot be said otherwise.
run train --model lenet --epochs 1 --train-images 64 --test-images 100 --out bench.rung
run export bench.rung --out bench_exported --prefix net
for file in bench.rung bench_exported/net.onnx "$here/../golden/cases/static1.onnx"; do
  works "bench infer $file" bench infer "$file" --batch-size 4 --steps 2 --json bench.json
  check "bench infer $file: is named" grep -qF "\"model\": \"$file\"" bench.json
done
works "bench train of a file" bench train bench.rung --batch-size 4 --steps 2
check "bench train of a file: its images" stdout_has "batch 4 of 1x28x28"
works "bench qat of a file" bench qat bench.rung --batch-size 4 --steps 2 --json bench.json
check "bench qat of a file: compares with float" grep -qE '"over_float": [0-9.]+' bench.json
works "bench calibrate of a file" bench calibrate bench.rung --batch-size 4 --steps 2
works "bench of a file with errors" bench train bench_exported/net.onnx --batch-size 4 --steps 2 --error
misused "bench of a file and a model" "--model is for networks of rung's" \
  bench infer bench.rung --model resnet8
misused "bench of a file with other images" "--image-size is for networks" \
  bench infer bench.rung --image-size 32
refuses "bench of a file that is missing" "nowhere.rung" bench infer nowhere.rung
refuses "bench of weights" "net.safetensors" bench infer bench_exported/net.safetensors
run quantize bench.rung --out bench_sim.rung --calibration-images 64 --test-images 100
refuses "bench of a quantized file" "is quantized" bench infer bench_sim.rung
