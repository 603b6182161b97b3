# Says what each #include names: for every line  #include "..."  of the sources that are given, sets
# `included` to the file of the tree that it means and calls found(), which the rule defines. A file
# is searched for as the compiler does: beside the includer and in the folders of -I.
#
#   awk -f RULE.awk -f includes.awk FILE...

BEGIN {
  for (i = 1; i < ARGC; ++i) exists[ARGV[i]] = 1
  split("src/ include/ apps/rung/ tests/", roots, " ")
}

function folder_of(path) {
  return path ~ /\// ? substr(path, 1, match(path, /\/[^\/]*$/) - 1) : "."
}

function resolved(name, i) {
  if ((folder_of(FILENAME) "/" name) in exists) return folder_of(FILENAME) "/" name
  if (name in exists) return name
  for (i = 1; i in roots; ++i) if ((roots[i] name) in exists) return roots[i] name
  return ""
}

/^#include ["<]/ {
  name = $2
  gsub(/["<>]/, "", name)
  included = resolved(name)
  found()
}
