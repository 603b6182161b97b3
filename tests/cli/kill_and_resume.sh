#!/bin/bash
# Kills training with SIGKILL at random moments, every other time while a file is being written,
# resumes it each time, and compares the end with that of a run that nobody disturbed: float
# training, then quantization-aware training with fixed and with learned ranges, then calibration.
#
#   tests/cli/kill_and_resume.sh RUNG [KILLS] [SEED] [RUNS]
#
# KILLS (default: 50) is the number of kills of each run, RUNS is all (default) or float. The folder
# is a temporary one.
set -euo pipefail
rung=$(realpath "$1")
kills=${2:-50}
RANDOM=${3:-1}
runs=${4:-all}
export OMP_WAIT_POLICY=passive
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT

# writes NAME PID: the process is writing a checkpoint or the calibration's state at this moment.
writes() {
  compgen -G "$1.rung.checkpoints/.step-*.$2.*" >/dev/null ||
    compgen -G ".$1.rung.calibration.$2.*" >/dev/null
}

# same A B: both files hold the same bytes.
same() {
  cmp "$1.rung" "$2.rung" || { echo "FAILED: $1 and $2 differ" >&2; exit 1; }
}

# killed NAME WHOLE ARGS...: runs rung with ARGS --out NAME.rung, again and again if it ends too
# early, until it was killed often enough and has ended; it must always end in the bytes of WHOLE.
killed() {
  local name=$1 whole=$2 done=0 writing=0 ends=0 end
  shift 2
  while true; do
    "$rung" "$@" "${resume[@]}" --out "$name.rung" >"$name.log" 2>&1 &
    local pid=$!
    if [[ $done -lt $kills ]]; then
      # Somewhere in the time that a run of a few steps takes, most of them within the first second.
      sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))"
      # Every other time: as soon as a temporary file is there.
      if ((done % 2 == 0)); then
        end=$((SECONDS + 5))
        until writes "$name" $pid || [[ $SECONDS -ge $end || ! -e /proc/$pid ]]; do :; done
      fi
      kill -KILL "$pid" 2>/dev/null || true
    fi
    local code=0
    wait "$pid" 2>/dev/null || code=$?
    case $code in
      0)
        same "$whole" "$name"
        ends=$((ends + 1))
        [[ $done -lt $kills ]] || break
        rm "$name.rung"
        ;;
      137)
        done=$((done + 1))
        # A temporary file that was left over is one that was being written.
        if writes "$name" $pid; then writing=$((writing + 1)); fi
        ;;
      *)
        cat "$name.log" >&2
        exit 1
        ;;
    esac
  done
  echo "$name: killed $done times, $writing of them while a file was written; $ends times it came" \
    "to the end, with the bytes of $whole"
  [[ $writing -gt 0 ]] || { echo "FAILED: no kill hit a write" >&2; exit 1; }
  [[ -z $(find . -name '*.tmp' -o -name '*.checkpoints' -o -name '*.calibration') ]] ||
    { echo "FAILED: $name leaves files behind: $(ls -A)" >&2; exit 1; }
  "$rung" hash "$name.rung"
}

run=(--train-images 640 --test-images 250 --batch-size 32 --seed 5)
often=(--checkpoint-every 1)
resume=(--resume auto)
float=(train --model resnet8 --epochs 4 "${run[@]}")
"$rung" "${float[@]}" --out float.rung >/dev/null
killed float_killed float "${float[@]}" "${often[@]}"
[[ $runs == all ]] || exit 0

for scheme in tf_enhanced range_learning_tf; do
  "$rung" quantize float.rung --scheme $scheme --param-bw 4 --calibration-images 256 \
    --test-images 250 --out $scheme.rung >/dev/null
  qat=(qat "$scheme.rung" --epochs 4 --lr 0.01 "${run[@]}")
  "$rung" "${qat[@]}" --out ${scheme}_qat.rung >/dev/null
  killed ${scheme}_killed ${scheme}_qat "${qat[@]}" "${often[@]}"
done

resume=(--resume)
calibration=(quantize float.rung --scheme tf_enhanced --calibration-images 20000 --test-images 250)
"$rung" "${calibration[@]}" --out calibrated.rung >/dev/null
killed calibration_killed calibrated "${calibration[@]}" --checkpoint-every 1
