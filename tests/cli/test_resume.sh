# shellcheck shell=bash disable=SC2154
# A run that was interrupted goes on as if it had not been. tests/cli/kill_and_resume.sh does the
# same with SIGKILL at many random moments.

lenet=(--model lenet --train-images 256 --test-images 100 --batch-size 16 --epochs 2 --seed 3)
works "an undisturbed run" train "${lenet[@]}" --out whole.rung
check "leaves no checkpoints behind" absent whole.rung.checkpoints

# Ended by SIGTERM as soon as there is a checkpoint.
mkdir resumed
"$rung" train "${lenet[@]}" --checkpoint-every 1 --checkpoints 3 --out resumed/m.rung >stdout 2>stderr &
pid=$!
for _ in $(seq 400); do
  compgen -G "resumed/m.rung.checkpoints/step-*.rung" >/dev/null && break
  sleep 0.05
done
kill -TERM "$pid"
wait "$pid"
code=$?
check "SIGTERM: exit code 3" exits 3
check "SIGTERM: says how to go on" stderr_has "go on with --resume auto"
check "the model is not there yet" absent resumed/m.rung
check "three checkpoints are kept at most" \
  test "$(find resumed/m.rung.checkpoints -name 'step-*.rung' | wc -l)" -le 3

refuses "checkpoints that nobody mentions" "has checkpoints of a run that did not end" \
  train "${lenet[@]}" --out resumed/m.rung
refuses "another configuration" "--lr was 0.1, is 0.2" \
  train "${lenet[@]}" --lr 0.2 --resume auto --out resumed/m.rung
newest=$(find resumed/m.rung.checkpoints -name 'step-*.rung' | sort | tail -1)
refuses "a checkpoint of the wrong command" "command was train, is qat" \
  qat sim.rung --epochs 2 --resume "$newest" --out other.rung
refuses "a model that is no checkpoint" "is a model, but no checkpoint of a training" \
  train "${lenet[@]}" --resume whole.rung --out other.rung
run hash "$newest"
check "a checkpoint has a hash" exits 0

# The newest one is damaged: the one before serves.
if [[ $(find resumed/m.rung.checkpoints -name 'step-*.rung' | wc -l) -gt 1 ]]; then
  printf 'x' | dd of="$newest" bs=1 seek=20000 conv=notrunc status=none
fi
run train "${lenet[@]}" --resume auto --out resumed/m.rung
check "resumed: exit code 0" exits 0
check "resumed: the same bytes" cmp -s whole.rung resumed/m.rung
check "resumed: no checkpoints are left" only_file_in resumed m.rung

# A calibration knows what it was told, too.
calibrated=(quantize whole.rung --calibration-images 30000 --test-images 100)
mkdir calibration
"$rung" "${calibrated[@]}" --checkpoint-every 1 --out calibration/q.rung >stdout 2>stderr &
pid=$!
for _ in $(seq 400); do
  [[ -e calibration/q.rung.calibration ]] && break
  sleep 0.05
done
kill -TERM "$pid"
wait "$pid"
code=$?
check "calibration, SIGTERM: exit code 3" exits 3
check "calibration, SIGTERM: says how to go on" stderr_has "go on with --resume"
refuses "a calibration that nobody mentions" "is a calibration that did not end" \
  "${calibrated[@]}" --out calibration/q.rung
refuses "another rounding" "--rounding was nearest, is stochastic" \
  "${calibrated[@]}" --rounding stochastic --resume --out calibration/q.rung
refuses "other weight ranges" "--weight-ranges was fixed, is recomputed" \
  "${calibrated[@]}" --weight-ranges recomputed --resume --out calibration/q.rung
works "a calibration goes on" "${calibrated[@]}" --resume --out calibration/q.rung
check "a calibration goes on: says where" stdout_has "going on from calibration/q.rung.calibration"
check "a calibration goes on: nothing is left" only_file_in calibration q.rung

works "hash" hash whole.rung
hash=$(cut -d' ' -f1 stdout)
works "hash again" hash resumed/m.rung
check "the same hash" stdout_has "$hash"
misused "an interval that is none" "must be epoch, never" \
  train "${lenet[@]}" --checkpoint-every 5x --out x.rung
