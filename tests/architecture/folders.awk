# A folder includes only what folders.txt lets it include, and that stands above it there.

# A line of folders.txt: "PLACE...: FOLDER...". The first place is the folder's name.
function read_rules(file, line, more, sides, places, others, n, i) {
  while ((getline line < file) > 0) {
    ++number
    while (line ~ /\\$/ && (getline more < file) > 0) {
      ++number
      line = substr(line, 1, length(line) - 1) more
    }
    sub(/#.*/, "", line)
    if (split(line, sides, ":") < 2) continue
    n = split(sides[1], places, " ")
    for (i = 1; i <= n; ++i) folder_at[places[i]] = places[1]
    n = split(sides[2], others, " ")
    for (i = 1; i <= n; ++i) {
      if (others[i] != "*" && !(others[i] in rank))
        printf "%s:%d: %s does not stand above %s\n", file, number, others[i], places[1]
      allowed[places[1], others[i]] = 1
    }
    rank[places[1]] = number
  }
}

BEGIN { read_rules(rules) }

function room_of(path) {
  for (; path != "."; path = folder_of(path)) if (path in folder_at) return folder_at[path]
  return ""
}

FNR == 1 {
  here = room_of(FILENAME)
  if (here == "") printf "%s:1: its folder is not in folders.txt\n", FILENAME
}

function found(there) {
  if (included == "" || here == "") return
  if (FILENAME ~ /^include\// && included !~ /^include\//)
    printf "%s:%d: a public header includes %s, which is not public\n", FILENAME, FNR, included
  there = room_of(included)
  if (there == here || (here, there) in allowed) return
  if ((here, "*") in allowed && rank[there] < rank[here]) return
  printf "%s:%d: %s must not include %s\n", FILENAME, FNR, here, included
}
