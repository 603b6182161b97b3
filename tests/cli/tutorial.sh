#!/usr/bin/env bash
# Checks that README.md shows what the first tutorial prints, and the second one's source.
#
#   tests/cli/tutorial.sh path/to/01_a_number SOURCE_DIR
set -euo pipefail
readme=$(<"$2/README.md")
contains() {
  [[ $readme == *"$2"* ]] || { echo "README.md does not contain $1:" >&2; echo "$2" >&2; exit 1; }
}
contains "what 01_a_number prints" "$("$1")"
contains "apps/tutorials/02_train_and_quantize.cpp" "$(<"$2/apps/tutorials/02_train_and_quantize.cpp")"
