# The folders inside of a folder have an order: none includes another that includes it, however long
# the way round. Files that lie beside them are no part of it. `open` lists folders that may.

function found(a, b, n, m, i, parent) {
  if (included == "") return
  n = split(FILENAME, a, "/")
  m = split(included, b, "/")
  parent = ""
  for (i = 1; i < n && i < m && a[i] == b[i]; ++i) parent = parent a[i] "/"
  if (i >= n || i >= m) return  # one of the two lies beside the folder of the other
  if (index(" " open " ", " " parent " ")) return
  room[parent a[i]] = room[parent b[i]] = parent
  edge[parent a[i], parent b[i]] = 1
  if (!((parent a[i], parent b[i]) in first))
    first[parent a[i], parent b[i]] = sprintf("%s:%d: ", FILENAME, FNR)
}

# Takes away every room without arrows from (or to) those that are left, until nothing changes.
function peel(column, again, each, key, ends, holds) {
  do {
    again = 0
    for (each in room) {
      holds = 0
      for (key in edge) {
        split(key, ends, SUBSEP)
        if (ends[column] == each && (ends[3 - column] in room)) holds = 1
      }
      if (!holds) { delete room[each]; again = 1 }
    }
  } while (again)
}

END {
  peel(1)
  peel(2)
  for (key in edge) {
    split(key, ends, SUBSEP)
    if ((ends[1] in room) && (ends[2] in room))
      printf "%s%s includes %s, in a circle\n", first[key], ends[1], ends[2]
  }
}
