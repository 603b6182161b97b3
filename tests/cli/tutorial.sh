#!/usr/bin/env bash
# Checks that src/quant/README.md shows what the first tutorial prints, README.md the second one's source.
#
#   tests/cli/tutorial.sh path/to/01_a_number SOURCE_DIR
set -euo pipefail
contains() {  # FILE WHAT TEXT
  [[ $(<"$1") == *"$3"* ]] || { echo "$1 does not contain $2:" >&2; echo "$3" >&2; exit 1; }
}
contains "$2/src/quant/README.md" "what 01_a_number prints" "$("$1")"
tutorial=apps/tutorials/02_train_and_quantize.cpp
contains "$2/README.md" $tutorial "$(<"$2/$tutorial")"
