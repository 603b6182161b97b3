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
widest=$(awk '/^ *[-0-9]+\.[0-9]+ / { if (length > n) n = length } END { print n }' stdout)
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
sed 's/"everything":[^,}]*/"everything":93.5/' analysis8.json >percent.json
refuses "analyze: a baseline with a score that is none" \
  "percent.json: levels.everything is 93.5: top1 is a share in 0 .. 1" \
  analyze analyzed8.rung --test-images 100 --baseline percent.json
sed 's/"name":"conv1","output_shape/"name":"conv9","output_shape/' analysis8.json >other.json
refuses "analyze: a baseline of another network" \
  "other.json: is of another network: it has a Conv conv9, which this model has not" \
  analyze analyzed8.rung --test-images 100 --baseline other.json
refuses "analyze: a baseline that is none" "eval8.json: " analyze analyzed8.rung \
  --baseline eval8.json
misused "analyze: a drop of nothing" "--max-drop" analyze analyzed8.rung --max-drop 1
misused "analyze: an unknown metric" "--metric" analyze analyzed8.rung --metric snr

# ---- the report
scripts() { grep -o '</script>' "$1" | wc -l; }
works "analyze: a report" analyze analyzed2.rung --test-images 100 --out report.html \
  --json reported.json
check "analyze: names the report" stdout_has "wrote report.html"
check "analyze: figures beside the report" is_json reported.json
check "analyze: the report is one page" grep -qF '</html>' report.html
check "analyze: all parts are in it" lacks report.html '@DATA@'
check "analyze: under 2 MB" between "$(stat -c %s report.html)" 100000 2000000
remedy="--scheme tf --param-bw 2 --output-bw 2 --config default --edge-bw 8"
check "analyze: a remedy is a command" \
  grep -qF "\"rung quantize FLOAT.rung $remedy --out analyzed2_new.rung\"" report.html
check "analyze: classes that are confused" grep -qF '"class_names":["T-shirt/top"' report.html
works "analyze: figures of another run" analyze reported.json --out again.html --rows 1
check "analyze: shows them as well" stdout_has "--rows 0 shows all"
works "analyze: two models" analyze --compare analyzed8.rung analyzed2.rung --test-images 50 \
  --out both.html
check "analyze: both are in the report" test "$(grep -c '^"analysis"' both.html)" -eq 2
sed 's#"conv1#"</script><script>alert(1)</script>conv1#g' reported.json >hostile.json
works "analyze: hostile names" analyze hostile.json --out hostile.html
check "analyze: names end no script" test "$(scripts hostile.html)" -eq "$(scripts report.html)"
refuses "analyze: figures of no analysis" "eval8.json: " analyze eval8.json --out x.html
check "analyze: what is refused writes nothing" absent x.html
refuses "analyze: figures that are worse" "more than --max-drop" \
  analyze reported.json --baseline analysis8.json
misused "analyze: two without a report" "--compare is for --out" \
  analyze analyzed8.rung --compare analyzed2.rung
misused "analyze: the report is not the model" "would replace" \
  analyze analyzed8.rung --out analyzed8.rung
