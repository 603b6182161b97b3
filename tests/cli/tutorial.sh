#!/usr/bin/env bash
# Runs the tutorial and checks that README shows exactly what it prints.
set -euo pipefail
output=$("$1")
readme=$(<"$2")
if [[ $readme != *"$output"* ]]; then
  echo "README.md does not contain what the tutorial prints:" >&2
  echo "$output" >&2
  exit 1
fi
