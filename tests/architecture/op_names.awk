# `graph` knows no op: neither code nor texts in src/graph and include/rung/graph name one. Comments
# may give examples. The names are those that src/ops registers or defines.

FILENAME ~ /^src\/ops\/|^include\/rung\/ops\// {
  line = $0
  while (match(line, /(kType = |\{|return )"[A-Z][A-Za-z]+"/)) {
    split(substr(line, RSTART, RLENGTH), parts, "\"")
    ops[parts[2]] = 1
    line = substr(line, RSTART + RLENGTH)
  }
  next
}

# The words of an identifier: "ConvAlgorithm" and "conv_algorithm" both name Conv. What the lower
# case of a name means in English says nothing.
BEGIN { split("batch_norm conv gemm relu winograd", lower, " ") }

{
  code = $0
  sub(/\/\/.*/, "", code)
  gsub(/[^A-Za-z0-9_]+/, " ", code)
  n = split(code, words, " ")
  for (i = 1; i <= n; ++i) if (names_op(words[i])) complain(words[i])
}

function names_op(word, each, i) {
  if (word in ops) return 1
  for (each in ops)
    if (length(each) > 3 && index(word, each) == 1 && substr(word, length(each) + 1, 1) ~ /[A-Z]/)
      return 1
  for (i = 1; i in lower; ++i) if (index("_" word "_", "_" lower[i] "_")) return 1
  return 0
}

function complain(word) { printf "%s:%d: names the op %s\n", FILENAME, FNR, word }

END {
  for (each in ops) ++count
  if (count < least) printf "src/ops:1: only %d names of ops were found there\n", count
}
