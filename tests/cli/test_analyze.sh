# shellcheck shell=bash disable=SC2154
# rung analyze: the table, the figures, the comparison with a baseline.

run train --model lenet --dataset fashion-mnist --epochs 4 --train-images 1024 --test-images 100 \
  --lr 0.05 --batch-size 32 --out analyzed.rung
for bits in 8 2; do
  run quantize analyzed.rung --scheme tf --param-bw $bits --output-bw $bits \
    --calibration-images 64 --test-images 100 --out analyzed$bits.rung
done

works "analyze" analyze analyzed8.rung --test-images 100 --json analysis8.json
check "analyze: figures are JSON" is_json analysis8.json
check "analyze: levels are accuracies" grep -qF '"metric":"top1"' analysis8.json
check "analyze: a row for a layer" stdout_has "conv1 (Conv)"
check "analyze: says what it cost" stdout_has "100 images, "
widest=$(awk '/^ +[-0-9]/ { if (length > n) n = length } END { print n }' stdout)
check "analyze: rows of at most 100 columns" between "$widest" 60 100
run eval analyzed8.rung --test-images 100 --json eval8.json
check "analyze: all quantized is what eval says" \
  stdout_has "$(awk -v v="$(number eval8.json top1)" 'BEGIN { printf "%.2f", v }')"
run analyze analyzed8.rung --test-images 100 --rows 1 --metric agreement --per-quantizer --json -
check "analyze: few rows: exit code 0" exits 0
check "analyze: says that there are more" stderr_has "--rows 0 shows all"
check "analyze: figures on standard output are JSON alone" is_json stdout
check "analyze: sensitivities of quantizers" lacks stdout '"quantizers_sensitivity":[]'

works "analyze: as good as itself" analyze analyzed8.rung --test-images 100 \
  --baseline analysis8.json
check "analyze: says what it compared with" stdout_has "compared with analysis8.json"
refuses "analyze: a worse model" "more than --max-drop 0.5 worse; the worst layer is" \
  analyze analyzed2.rung --test-images 100 --baseline analysis8.json --max-drop 0.5 \
  --json worse.json
check "analyze: figures of a worse model are there" is_json worse.json
check "analyze: says what stands out" stdout_has "    try --edge-bw 8"
works "analyze: a worse model within limits" analyze analyzed2.rung --test-images 100 \
  --baseline analysis8.json --max-drop 100

refuses "analyze: a float model" "is not quantized" analyze analyzed.rung
refuses "analyze: a baseline of other images" "analysis8.json: is of 100 images, this run of 50" \
  analyze analyzed8.rung --test-images 50 --baseline analysis8.json
refuses "analyze: a baseline that is none" "eval8.json: " analyze analyzed8.rung \
  --baseline eval8.json
misused "analyze: a drop of nothing" "--max-drop" analyze analyzed8.rung --max-drop 1
misused "analyze: an unknown metric" "--metric" analyze analyzed8.rung --metric snr
