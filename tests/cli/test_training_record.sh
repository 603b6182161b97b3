# shellcheck shell=bash disable=SC2154
# How a run of training went: --record of train and qat, --training of analyze.

recorded=(--train-images 256 --test-images 100 --batch-size 16 --seed 3)
# What depends on the clock.
untimed() { sed -e 's/"seconds":\[[^]]*\]//' "$1"; }

works "train, not recorded" train --model lenet --epochs 2 "${recorded[@]}" --out plain.rung
works "train, recorded" train --model lenet --epochs 2 "${recorded[@]}" --out noted.rung \
  --record train.json
check "recorded: the same model" cmp -s plain.rung noted.rung
check "recorded: JSON" is_json train.json
check "recorded: 32 steps" grep -q '"steps":\[1,2,3,.*,31,32\]' train.json
check "recorded: no quantizers" grep -q '"ranges":{}' train.json

works "a model to fine-tune" quantize plain.rung --scheme range_learning_tf --param-bw 4 \
  --calibration-images 100 --test-images 100 --out record_w4.rung
tuned=(qat record_w4.rung --epochs 2 --lr 0.01 "${recorded[@]}")
works "qat, recorded" "${tuned[@]}" --out whole_qat.rung --record whole.json
check "qat: ranges that move" grep -q '"ranges":{.*"gradient_norm":\[.*"learned":true' whole.json
check "qat: codes that flip" grep -q '"codes":{"conv1.weight":{"flips":\[0.0,' whole.json

# A run that is killed again and again goes on with its record.
killed=("${tuned[@]}" --checkpoint-every 1 --resume auto --record killed.json)
for _ in 1 2 3; do
  kill_at_checkpoint killed_qat.rung "${killed[@]}"
  check "killed: the run has not ended" absent killed_qat.rung
done
run "${killed[@]}" --out killed_qat.rung
check "killed: went on" stdout_has "going on from killed_qat.rung.checkpoints/step-"
check "killed: exit code 0" exits 0
check "killed: the same model" cmp -s whole_qat.rung killed_qat.rung
check "killed: the same record" test "$(untimed whole.json)" = "$(untimed killed.json)"

works "analyze with a record" analyze whole_qat.rung --test-images 50 --training whole.json \
  --json analysis.json
check "analysis: has the record" grep -q '"training":{"codes":{' analysis.json
works "an analysis with a record can be compared with" analyze whole_qat.rung --test-images 50 \
  --baseline analysis.json --max-drop 0.1
echo text >text.json
refuses "a record that is none" "text.json: " analyze whole_qat.rung --training text.json
echo '{"rung_training": 1}' >some.json
refuses "a record that lacks something" "some.json: " analyze whole_qat.rung --training some.json
refuses "a record in no folder" "no/such/r.json" "${tuned[@]}" --out x.rung \
  --record no/such/r.json
misused "two files of one name" "--record" "${tuned[@]}" --out x.rung --record x.rung
