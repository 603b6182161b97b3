#!/usr/bin/env bash
# Kills the tutorial on resumable training at random moments, with SIGKILL and SIGTERM in turn, runs
# it again each time, and compares its models with those of a run that nobody disturbed.
#
#   tests/cli/kill_tutorial.sh path/to/06_resumable_training [KILLS] [SEED]
set -euo pipefail
program=$(realpath "$1")
kills=${2:-6}
RANDOM=${3:-1}
export OMP_WAIT_POLICY=passive
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT

"$program" whole.rung >whole.log
[[ $(grep -c '^epoch' whole.log) -eq 3 ]] || { echo "FAILED: no epochs" >&2; exit 1; }
[[ ! -e whole.rung.checkpoints ]] || { echo "FAILED: checkpoints are left" >&2; exit 1; }

done=0
for ((round = 0; ; ++round)); do
  "$program" parts.rung >>parts.log 2>&1 &
  pid=$!
  signal=$([[ $((round % 2)) -eq 0 ]] && echo KILL || echo TERM)
  if [[ $done -lt $kills ]]; then
    # As soon as it has got anywhere, and a moment more.
    before=$(find . -path './parts.rung.checkpoints/step-*' | sort | tail -1)
    until [[ $(find . -path './parts.rung.checkpoints/step-*' | sort | tail -1) != "$before" ]] ||
      ! kill -0 $pid 2>/dev/null; do
      sleep 0.01
    done
    sleep 0.0$((RANDOM % 10))
    kill -$signal $pid 2>/dev/null || true
  fi
  code=0
  wait $pid 2>/dev/null || code=$?
  case $code in
    0) break ;;
    3 | 137 | 143) done=$((done + 1)) ;;
    *) cat parts.log >&2; echo "FAILED: exit code $code" >&2; exit 1 ;;
  esac
done
cmp whole.rung parts.rung
cmp whole.rung.best parts.rung.best
[[ $done -ge 2 ]] || { echo "FAILED: killed $done times only" >&2; exit 1; }
[[ ! -e parts.rung.checkpoints ]] || { echo "FAILED: checkpoints are left" >&2; exit 1; }
echo "killed $done times: the same bytes"
