# shellcheck shell=bash
# What the tests of pages share: a browser, and how a page is opened and checked in it. A test
# sources this file and calls, in this order:
#   need_browser WHAT              ends the test with exit code 77, "skipped", if there is none
#   needs_nothing PAGE             fails if the page names what it would have to fetch
#   with_checks PAGE CHECKS [FILE] prints the page with the script CHECKS (and FILE before it)
#   open_page PAGE [OPTION...]     opens it from disk; fails if the console shows anything
#   result                         prints the lines that the checks ended with
# shellcheck disable=SC2154  # the test sets scratch, a folder

need_browser() {
  browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
  [[ -z $browser ]] || return 0
  echo "SKIPPED: THERE IS NO CHROMIUM, $1 was not opened; apps/install-packages --browser installs it"
  exit 77
}

needs_nothing() {
  if grep -noE '(src|href)="[^#d][^"]*"|https?://[^"'"'"' ]*|@import|url\([^#]' "$1" |
    grep -vE 'http://www.w3.org/2000/svg|https://www.chartjs.org|https://github.com/kurkle/color'; then
    echo "FAILED: the page names what it would have to fetch"
    exit 1
  fi
}

# What is wrong before the checks begin is noted, too.
with_checks() {
  local watch='<script>
const problems = [];
addEventListener("error", (e) => problems.push(e.message));
addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));
for (const kind of ["error", "warn"])
  console[kind] = (...text) => problems.push(text.join(" "));
</script>'
  awk -v watch="$watch" '{ print } /^<head>$/ { print watch }' "$1"
  [[ $# -lt 3 ]] || cat "$3"
  echo '<script>'
  cat "$(dirname "${BASH_SOURCE[0]}")/checks.js" "$2"
  echo '</script>'
}

# As root, and where user namespaces are locked, Chromium has no sandbox. Nothing is fetched.
open_page() {
  local page=$1
  shift
  timeout 240 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --user-data-dir="$scratch/profile" --enable-logging=stderr \
    --host-resolver-rules='MAP * ~NOTFOUND' --window-size=1280,900 "$@" --dump-dom \
    "file://$page" >"$scratch/dom" 2>"$scratch/log" || {
    tail -n 20 "$scratch/log"
    echo "FAILED: $browser ended with an error"
    exit 1
  }
  if grep -E ':CONSOLE' "$scratch/log"; then
    echo "FAILED: the console shows messages"
    exit 1
  fi
}

result() {
  if ! grep -q '<pre>' "$scratch/dom"; then
    tail -n 20 "$scratch/log"
    echo "FAILED: the checks did not come to their end"
    exit 1
  fi
  sed -n '/<pre>/,/<\/pre>/p' "$scratch/dom" | sed 's/<[^>]*>//g' | head -n 40
}
