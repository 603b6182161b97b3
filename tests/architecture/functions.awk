# No function is longer than `most` lines, from its name to its closing brace. It reads what
# clang-format has written: a longer body opens with the last brace of a line.

function begin_file() {
  if (depth) printf "%s:1: its braces are not understood\n", previous
  depth = inner = 0
  in_comment = in_raw = in_macro = 0
  previous = FILENAME
  forget()
}

function forget() {
  head = ""
  head_line = 0
}

# Returns a line without comments, and with empty strings.
function code_of(line, at, rest) {
  if (in_raw) {
    if (!(at = index(line, raw_end))) return ""
    line = substr(line, at + length(raw_end))
    in_raw = 0
  }
  if (in_comment) {
    if (!(at = index(line, "*/"))) return ""
    line = substr(line, at + 2)
    in_comment = 0
  }
  gsub(/'(\\.|[^'\\])'/, "0", line)
  if (match(line, /R"[^(" ]*\(/)) {
    raw_end = ")" substr(line, RSTART + 2, RLENGTH - 3) "\""
    rest = substr(line, RSTART + RLENGTH)
    line = substr(line, 1, RSTART - 1)
    if (at = index(rest, raw_end)) return code_of(line "0" substr(rest, at + length(raw_end)))
    in_raw = 1
    return line
  }
  gsub(/"(\\.|[^"\\])*"/, "0", line)
  sub(/\/\/.*/, "", line)
  gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", line)
  if (at = index(line, "/*")) {
    in_comment = 1
    line = substr(line, 1, at - 1)
  }
  sub(/[ \t]+$/, "", line)
  return line
}

# What opens with a brace at the end of a line, by the text since the statement before.
function kind_of(text) {
  sub(/^[ \t]*template <([^<>]|<([^<>]|<[^<>]*>)*>)*>/, "", text)
  if (text ~ /^[ \t]*(inline )?(namespace|extern)([ \t]|$)/ || text ~ /^[ \t]*TEST_SUITE/)
    return "scope"
  if (text ~ /^[ \t]*((static|constexpr|const|typedef) )*(class|struct|union|enum)[ \t]/)
    return "scope"
  return text ~ /\)/ && text !~ /[=(,][ \t]*$/ ? "function" : "other"
}

function open(ends_line, what) {
  what = ends_line && !inner ? kind_of(head) : "other"
  kind[++depth] = what
  start[depth] = head_line ? head_line : FNR
  if (what != "other") forget()
  if (what != "scope") ++inner
}

function close_brace(ends_line, what, lines) {
  what = kind[depth]
  lines = FNR - start[depth] + 1
  if (what == "function" && lines > most)
    printf "%s:%d: a function of %d lines, at most %d\n", FILENAME, start[depth], lines, most
  if (what != "scope") --inner
  --depth
  if (what != "other" || (ends_line && !inner)) forget()
}

FNR == 1 { begin_file() }

/^[ \t]*#/ || in_macro {
  in_macro = /\\$/
  next
}

{
  code = code_of($0)
  if (inner && code !~ /[{}]/) next
  count = length(code)
  for (i = 1; i <= count; ++i) {
    c = substr(code, i, 1)
    if (c == "{") open(i == count)
    else if (c == "}") close_brace(i == count)
    else if (!inner && c == ";") forget()
    else if (!inner) {
      if (!head_line && c !~ /[ \t]/) head_line = FNR
      head = head c
      if (c == ":" && head ~ /^[ \t]*(public|private|protected):$/) forget()
    }
  }
  if (!inner) head = head " "
}

END { if (depth) printf "%s:1: its braces are not understood\n", previous }
