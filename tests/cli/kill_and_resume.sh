#!/bin/bash
# Kills training with SIGKILL at random moments, resumes it each time, and compares the end with
# that of a run that nobody disturbed: float training, then quantization-aware training with fixed
# and with learned ranges, then calibration.
#
#   tests/cli/kill_and_resume.sh RUNG [KILLS] [SEED]
#
# KILLS (default: 50) is the number of kills of each run. The folder is a temporary one.
set -euo pipefail
rung=$(realpath "$1")
kills=${2:-50}
RANDOM=${3:-1}
export OMP_WAIT_POLICY=passive
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT

# killed NAME ARGS...: runs rung with ARGS --out NAME.rung until it ends by itself, and counts.
killed() {
  local name=$1 done=0 writing=0
  shift
  # Somewhere in the time that a run of a few steps takes, most of them within the first second.
  while true; do
    "$rung" "$@" "${resume[@]}" --out "$name.rung" >"$name.log" 2>&1 &
    local pid=$!
    if [[ $done -lt $kills ]]; then
      sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))"
      kill -KILL "$pid" 2>/dev/null || true
    fi
    if wait "$pid" 2>/dev/null; then break; fi
    [[ $done -lt $kills ]] || { cat "$name.log" >&2; exit 1; }
    done=$((done + 1))
    # A temporary file that was left over is one that was being written.
    if compgen -G "$name.rung.checkpoints/.step-*" >/dev/null; then writing=$((writing + 1)); fi
    # What counts as an end must not come before enough kills.
    [[ ! -e $name.rung ]] || mv "$name.rung" "$name.early"
  done
  echo "$name: killed $done times, $writing of them while a checkpoint was written"
}

# same A B: both files hold the same bytes.
same() {
  cmp "$1.rung" "$2.rung" || { echo "FAILED: $1 and $2 differ" >&2; exit 1; }
  "$rung" hash "$2.rung"
}

run=(--train-images 640 --test-images 250 --batch-size 32 --seed 5)
often=(--checkpoint-every 1)
resume=(--resume auto)
float=(train --model resnet8 --epochs 4 "${run[@]}")
"$rung" "${float[@]}" --out float.rung >/dev/null
killed float_killed "${float[@]}" "${often[@]}"
same float float_killed

for scheme in tf_enhanced range_learning_tf; do
  "$rung" quantize float.rung --scheme $scheme --param-bw 4 --calibration-images 256 \
    --test-images 250 --out $scheme.rung >/dev/null
  qat=(qat $scheme.rung --epochs 4 --lr 0.01 "${run[@]}")
  "$rung" "${qat[@]}" --out ${scheme}_qat.rung >/dev/null
  killed ${scheme}_killed "${qat[@]}" "${often[@]}"
  same ${scheme}_qat ${scheme}_killed
done

resume=(--resume)
calibration=(quantize float.rung --scheme tf_enhanced --calibration-images 20000 --test-images 250)
"$rung" "${calibration[@]}" --out calibrated.rung >/dev/null
killed calibration_killed "${calibration[@]}" --checkpoint-every 1
same calibrated calibration_killed
