# Prints the scalars of a TensorBoard event file as "TAG STEP VALUE", from its bytes:
#   od -An -v -tu1 -w1 FILE | awk -f event_scalars.awk

{ byte[n++] = $1 + 0 }

# The unsigned number of `size` bytes at `at`, little-endian; exact up to 2^53.
function number(at, size, x, i) {
  for (i = size - 1; i >= 0; --i) x = x * 256 + byte[at + i]
  return x + 0
}

# Sets `next_at` behind the varint at `at`.
function varint(at, x, unit) {
  unit = 1
  do { x += byte[at] % 128 * unit; unit *= 128 } while (byte[at++] >= 128)
  next_at = at
  return x
}

function float32(at, bits, exponent, fraction, sign) {
  bits = number(at, 4)
  sign = bits >= 2147483648 ? -1 : 1
  bits %= 2147483648
  exponent = int(bits / 8388608)
  fraction = bits % 8388608
  if (exponent == 0) return sign * fraction * 2 ^ -149
  return sign * (1 + fraction / 8388608) * 2 ^ (exponent - 127)
}

function text(at, size, t, i) {
  for (i = 0; i < size; ++i) t = t sprintf("%c", byte[at + i])
  return t
}

# Reads the message in [at, end) of a level: event, summary, value.
function message(level, at, end, tag, field, wire, size) {
  while (at < end) {
    tag = varint(at)
    at = next_at
    field = int(tag / 8)
    wire = tag % 8
    if (wire == 0) {
      size = varint(at)
      if (level == "event" && field == 2) step = size
      at = next_at
      continue
    }
    size = wire == 1 ? 8 : wire == 5 ? 4 : varint(at)
    if (wire == 2) at = next_at
    if (level == "event" && field == 5) message("summary", at, at + size)
    if (level == "summary" && field == 1) message("value", at, at + size)
    if (level == "value" && field == 1) name = text(at, size)
    if (level == "value" && field == 2) printf "%s %d %.9g\n", name, step, float32(at)
    at += size
  }
}

END {
  for (start = 0; start < n; start += size + 16) {
    size = number(start, 8)
    step = 0
    message("event", start + 12, start + 12 + size)
  }
}
