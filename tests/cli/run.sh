#!/bin/bash
# Tests the command line end to end, as a user would run it, on a few images.
#
#   tests/cli/run.sh path/to/rung
set -uo pipefail

[[ $# -eq 1 && -x $1 ]] || { echo "usage: $0 RUNG" >&2; exit 2; }
rung=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/rung-cli.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# Tests share the machine with others: threads that wait must not burn it.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}

passed=0
failed=0
# shellcheck source=tests/cli/checks.sh
source "$here/checks.sh"
for suite in "$here"/test_*.sh; do
  # shellcheck disable=SC1090
  source "$suite"
done

echo "command line: $passed passed, $failed failed, 0 skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
