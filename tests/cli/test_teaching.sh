# shellcheck shell=bash disable=SC2154
# What a quantizer does in training, as numbers, and the page that shows it.

few=(--train-images 256 --test-images 100)
run train --model lenet --dataset fashion-mnist --epochs 1 --batch-size 32 --lr 0.02 --seed 3 \
  --out taught.rung "${few[@]}"
check "teaching: a model" exits 0
run quantize taught.rung --scheme range_learning_tf --param-bw 4 --output-bw 4 \
  --calibration-images 64 --test-images 100 --out taught_w4a4.rung
check "teaching: a quantized model" exits 0
"$rung" inspect taught_w4a4.rung --quiet --json taught.json
activation=$(sed -nE 's/^ *"name": "(.*relu1)",?$/\1/p' taught.json | head -n 1)
weight=$(sed -nE 's/^ *"name": "(.*conv1\.weight)",?$/\1/p' taught.json | head -n 1)

# ---- trace
one_epoch=(--epochs 1 --batch-size 32 --lr 0.01 --lr-encodings 0.001 --no-augment --train-images 256)
works "trace" trace taught_w4a4.rung "$activation" "${one_epoch[@]}" --steps 5 --out steps.json \
  --json traced.json
check "trace: figures are JSON" is_json traced.json
check "trace: so many steps as asked for" test "$(grep -c '"loss":' steps.json)" -eq 5
check "trace: the file is JSON" is_json steps.json
for key in min max scale offset gradient clipped_below clipped_above rounding clipping histogram; do
  check "trace: each step has $key" test "$(grep -c "\"$key\":" steps.json)" -eq 5
done
check "trace: a learned range has gradients" \
  test "$(grep -cE '"gradient":\{"min":\[-?[0-9.e-]+\],"max":\[-?[0-9.e-]+\]\}' steps.json)" -eq 5
cp steps.json again.json
works "trace once more" trace taught_w4a4.rung "$activation" "${one_epoch[@]}" --steps 5 --out steps.json
check "trace: the same again" cmp -s steps.json again.json
works "trace of a weight" trace taught_w4a4.rung "$weight" "${one_epoch[@]}" --steps 3 \
  --out weight_steps.json
# It trains as qat does: the mean of the losses is that of the epoch.
works "trace of an epoch" trace taught_w4a4.rung "$activation" "${one_epoch[@]}" --out epoch.json
works "qat of an epoch" qat taught_w4a4.rung "${one_epoch[@]}" --test-images 100 \
  --out taught_qat.rung --json taught_qat.json
check "trace: ends with training" test "$(grep -c '"loss":' epoch.json)" -eq 8
mean=$(sed -nE 's/^\{"loss":([^,]*),.*/\1/p' epoch.json | awk '{ s += $1 } END { print s / NR }')
qat_loss=$(sed -nE 's/^ *"loss": ([0-9.e+-]*),?$/\1/p' taught_qat.json | head -n 1)
check "trace: losses are those of qat" \
  between "$mean" "$(awk -v l="$qat_loss" 'BEGIN { print l - 1e-3 }')" \
  "$(awk -v l="$qat_loss" 'BEGIN { print l + 1e-3 }')"
refuses "trace of a float model" "rung quantize" trace taught.rung conv1 --out x.json
refuses "trace of no quantizer" "conv9" trace taught_w4a4.rung conv9 --out x.json
misused "trace without a name" "QUANTIZER" trace taught_w4a4.rung --out x.json
check "trace: what is refused writes nothing" absent x.json

# ---- teach
scripts() { grep -o '</script>' "$1" | wc -l; }
works "teach" teach --out page --json page.json
check "teach: figures are JSON" is_json page.json
check "teach: one file" only_file_in page quantizer.html
check "teach: under 2 MB" between "$(number page.json bytes)" 100000 2000000
check "teach: all parts are in it" test "$(grep -cE '@(STYLE|SCRIPT|SAMPLE|TRACE|VERSION)@' page/quantizer.html)" -eq 0
works "teach of a model" teach --model taught.rung --layer conv1 --trace steps.json --out own \
  --sample sample.json
check "teach: numbers of the model" grep -qF '"name":"conv1"' own/quantizer.html
check "teach: no other layer" lacks own/quantizer.html 'layer2.0.conv1'
check "teach: the sample is JSON" is_json sample.json
check "teach: the run" grep -qF "\"quantizer\":\"$activation\"" own/quantizer.html
works "teach of a quantized model" teach --model taught_w4a4.rung --out own
sed 's#"model":"[^"]*"#"model":"</script><script>alert(1)</script>"#' steps.json >hostile.json
works "teach of a hostile file" teach --trace hostile.json --out own
check "teach: text ends no script" test "$(scripts own/quantizer.html)" -eq "$(scripts page/quantizer.html)"
refuses "teach of no JSON" "taught.rung: expected the steps of a quantizer" teach --trace taught.rung --out own
refuses "teach of an unknown layer" "conv9" teach --model taught.rung --layer conv9 --out own
refuses "teach of another layer" "cannot be shown" teach --model taught.rung --layer relu1 --out own
misused "a layer of no model" "--layer is for --model" teach --layer conv1 --out own
: >file_page
refuses "teach into a file" "file_page" teach --out file_page

# ---- nothing that is read is written over
cp taught.rung kept.rung
misused "teach: --sample is not the model" "would replace what --model names" \
  teach --model taught.rung --sample taught.rung --out page
misused "teach: --sample is not the trace" "would replace what --trace names" \
  teach --model taught.rung --trace steps.json --sample steps.json --out page
misused "teach: --sample is not the page" "one would replace the other" \
  teach --model taught.rung --sample page/quantizer.html --out page
check "teach: the model stays" cmp -s taught.rung kept.rung
check "teach: the trace stays" cmp -s steps.json again.json
for text in '{}' '{"bitwidth":4,"steps":[]}' '{"bitwidth":4,"steps":[{}]}' '[1]'; do
  echo "$text" >no_trace.json
  refuses "teach: $text is no trace" "as rung trace writes them" \
    teach --trace no_trace.json --out page
done
