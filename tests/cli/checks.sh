# shellcheck shell=bash disable=SC2034,SC2154
# What the tests of the command line are written with; sourced by run.sh.

# check NAME COMMAND...: the command must succeed.
check() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name" >&2
    echo "  last command: rung $last" >&2
    sed 's/^/  stdout: /' stdout | head -5 >&2
    sed 's/^/  stderr: /' stderr | head -5 >&2
  fi
}

# run ARGS...: runs rung, keeps its output in the files stdout and stderr and its exit code.
run() {
  last="$*"
  "$rung" "$@" >stdout 2>stderr </dev/null
  code=$?
}

# kill_at_checkpoint OUT ARGS...: runs rung --out OUT, and kills it when it has written a checkpoint.
kill_at_checkpoint() {
  local folder=$1.checkpoints before pid
  newest() { find "$folder" -name 'step-*.rung' 2>/dev/null | sort | tail -1; }
  before=$(newest)
  last="${*:2}"
  "$rung" "${@:2}" --out "$1" >stdout 2>stderr </dev/null &
  pid=$!
  for _ in $(seq 500); do
    [[ $(newest) != "$before" || ! -e /proc/$pid ]] && break
    sleep 0.02
  done
  kill -KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
}

exits() { [[ $code -eq $1 ]]; }
stdout_has() { grep -qF -- "$1" stdout; }
stderr_has() { grep -qF -- "$1" stderr; }
# One clear line, beginning with the command.
one_error_line() { [[ $(wc -l <stderr) -eq 1 ]] && [[ $(<stderr) == "rung"*": "* ]]; }
absent() { [[ ! -e $1 ]]; }
only_file_in() { [[ $(ls -A "$1") == "$2" ]]; }
lacks() { ! grep -qF -- "$2" "$1"; }

# works NAME ARGS...: exit code 0 and nothing on stderr.
works() {
  local name=$1
  shift
  run "$@"
  check "$name: exit code 0" exits 0
  check "$name: stderr is empty" test ! -s stderr
}

# notes NAME ARGS...: exit code 0 and only notes on stderr, at least one.
notes() {
  local name=$1
  shift
  run "$@"
  check "$name: exit code 0" exits 0
  check "$name: notes on stderr" grep -q ": note: " stderr
  check "$name: nothing but notes on stderr" test -z "$(grep -v ": note: " stderr)"
}

# refuses NAME TEXT ARGS...: exit code 1 and one line that contains TEXT.
refuses() {
  local name=$1 text=$2
  shift 2
  run "$@"
  check "$name: exit code 1" exits 1
  check "$name: one line on stderr" one_error_line
  check "$name: says $text" stderr_has "$text"
}

# misused NAME TEXT ARGS...: exit code 2 and a line that contains TEXT.
misused() {
  local name=$1 text=$2
  shift 2
  run "$@"
  check "$name: exit code 2" exits 2
  check "$name: says $text" stderr_has "$text"
}

# number FILE KEY: prints the value of the last line with this key (figures are written one a line).
number() { sed -n "s/^ *\"$2\": \([-+.0-9eE]*\),\{0,1\}\$/\1/p" "$1" | tail -n 1; }
# between VALUE LOW HIGH
between() { awk -v v="$1" -v l="$2" -v h="$3" 'BEGIN { exit !(v != "" && v >= l && v <= h) }'; }
# is_json FILE: brackets match, strings are closed, and it is one object.
is_json() {
  awk '
    { text = text $0 "\n" }
    END {
      n = length(text); depth = 0; ended = 0; string = 0
      for (i = 1; i <= n; ++i) {
        c = substr(text, i, 1)
        if (string) {
          if (c == "\\") ++i; else if (c == "\"") string = 0
          continue
        }
        if (c ~ /[ \t\n]/) continue
        if (ended || (depth == 0 && c != "{")) exit 1
        if (c == "\"") string = 1
        else if (c == "{" || c == "[") stack[++depth] = c
        else if (c == "}" || c == "]") {
          if (depth == 0 || stack[depth--] != (c == "}" ? "{" : "[")) exit 1
          if (depth == 0) ended = 1
        } else if (c !~ /[-+.0-9a-zA-Z:,]/) exit 1
      }
      exit !(ended && !string)
    }' "$1"
}
