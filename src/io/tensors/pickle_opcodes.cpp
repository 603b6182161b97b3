#include <bit>
#include <charconv>

#include "io/files/names.h"
#include "io/tensors/pickle_machine.h"

// The opcodes of Python's pickletools, protocols 0 to 5. Python 2 writes texts as "strings" (S, T,
// U), and what torch.save of its time wrote has them in every place.

namespace rung::io {
namespace {

constexpr std::size_t kMaxLine = 1 << 20;  // of a text in protocol 0

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Reads `digits` hexadecimal digits at `at`; -1 if there are fewer.
std::int64_t hexadecimal(std::string_view text, std::size_t at, std::size_t digits) {
  if (at > text.size() || text.size() - at < digits) return -1;
  std::int64_t value = 0;
  for (std::size_t i = at; i < at + digits; ++i) {
    if (hex_digit(text[i]) < 0) return -1;
    value = value * 16 + hex_digit(text[i]);
  }
  return value;
}

void append_utf8(std::string& text, std::uint32_t code) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0 | code >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0 | (code >> 18 & 7));
    tail(12), tail(6), tail(0);
  }
}

/// What Python's repr() of a str, or its raw-unicode-escape, stands for: \x61, \u0061, \n, \'.
/// `is_repr` false leaves all escapes but \u and \U as they are.
std::string unescaped(std::string_view text, bool is_repr) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      result += text[i];
      continue;
    }
    const char kind = text[i + 1];
    const std::size_t digits = kind == 'U' ? 8 : kind == 'u' ? 4 : kind == 'x' && is_repr ? 2 : 0;
    const std::int64_t code = digits > 0 ? hexadecimal(text, i + 2, digits) : -1;
    if (code >= 0 && kind == 'x') {
      result += static_cast<char>(code);
    } else if (code >= 0) {
      append_utf8(result, static_cast<std::uint32_t>(code));
    } else if (is_repr) {
      result += kind == 'n' ? '\n' : kind == 't' ? '\t' : kind == 'r' ? '\r' : kind;
    } else {
      result += '\\';
      continue;
    }
    i += 1 + (code >= 0 ? digits : 0);
  }
  return result;
}

}  // namespace

bool PickleMachine::scalar(std::uint8_t opcode) {
  switch (opcode) {
    case 'N':
      return push(Kind::none), true;
    case 0x88:
    case 0x89:
      return push(Kind::boolean, opcode == 0x88), true;
    case 'J':
      return push_integer(static_cast<std::int32_t>(static_cast<std::uint32_t>(little(4)))), true;
    case 'K':
      return push_integer(static_cast<std::int64_t>(little(1))), true;
    case 'M':
      return push_integer(static_cast<std::int64_t>(little(2))), true;
    case 'I': {  // INT; 00 and 01 are booleans
      const std::string digits = line(kMaxName);
      if (digits == "00" || digits == "01")
        push(Kind::boolean, digits == "01");
      else
        push_long(digits);
      return true;
    }
    case 'L': {  // LONG: digits and an L
      std::string digits = line(kMaxName);
      if (digits.ends_with('L')) digits.pop_back();
      return push_long(digits), true;
    }
    case 0x8a:    // LONG1
    case 0x8b: {  // LONG4: two's complement of any length
      const std::uint64_t length = little(opcode == 0x8a ? 1 : 4);
      if (length > 8) return push_text(text(length)), true;  // as torch's magic number
      const std::uint64_t bits = little(static_cast<int>(length));
      const auto unused = static_cast<int>(64 - 8 * length);
      push_integer(length == 0 ? 0 : static_cast<std::int64_t>(bits << unused) >> unused);
      return true;
    }
    case 'F': {  // FLOAT: a text; its value matters to nobody
      const std::string digits = line(kMaxName);
      double value = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), value);
      return push(Kind::real, std::bit_cast<std::int64_t>(value)), true;
    }
    case 'G': {  // BINFLOAT: big-endian
      std::uint64_t bits = 0;
      for (int i = 0; i < 8; ++i) bits = bits << 8 | little(1);
      return push(Kind::real, std::bit_cast<std::int64_t>(bits)), true;
    }
    default:
      return false;
  }
}

bool PickleMachine::text_or_bytes(std::uint8_t opcode) {
  switch (opcode) {
    case 'X':  // BINUNICODE
    case 'T':  // BINSTRING
    case 'B':  // BINBYTES
      return push_text(text(little(4))), true;
    case 0x8c:  // SHORT_BINUNICODE
    case 'U':   // SHORT_BINSTRING
    case 'C':   // SHORT_BINBYTES
      return push_text(text(little(1))), true;
    case 0x8d:  // BINUNICODE8
    case 0x8e:  // BINBYTES8
    case 0x96:  // BYTEARRAY8
      return push_text(text(little(8))), true;
    case 'S': {  // STRING: in quotes
      const std::string quoted = line(kMaxLine);
      const bool whole = quoted.size() >= 2 && quoted.front() == quoted.back() &&
                         (quoted.front() == '\'' || quoted.front() == '"');
      if (!whole) refuse("a text has no quotes");
      push_text(unescaped(std::string_view(quoted).substr(1, quoted.size() - 2), true));
      return true;
    }
    case 'V':  // UNICODE
      return push_text(unescaped(line(kMaxLine), false)), true;
    default:
      return false;
  }
}

bool PickleMachine::container(std::uint8_t opcode) {
  switch (opcode) {
    case '(':
      return mark(), true;
    case ')':
      return push_tuple(std::vector<Index>{}), true;
    case 0x85:
    case 0x86:
    case 0x87:
      return push_tuple(std::size_t{opcode} - 0x84), true;
    case 't':
    case 0x91:  // FROZENSET
      return push_tuple(pop_to_mark()), true;
    case ']':
    case 0x8f:  // EMPTY_SET
      return push(Kind::list, out_.lists, {}), true;
    case 'l': {  // LIST
      std::vector<Index> items = pop_to_mark();
      return push(Kind::list, out_.lists, std::move(items)), true;
    }
    case '}':
      return push(Kind::dict, out_.dicts, {}), true;
    case 'd': {  // DICT
      const std::vector<Index> items = pop_to_mark();
      push(Kind::dict, out_.dicts, {});
      return set_items(top(), items), true;
    }
    default:
      return false;
  }
}

bool PickleMachine::item(std::uint8_t opcode) {
  switch (opcode) {
    case 'a': {
      const Index item = pop();
      return append(top(), {item}), true;
    }
    case 'e':
    case 0x90: {  // ADDITEMS
      const std::vector<Index> items = pop_to_mark();
      return append(top(), items), true;
    }
    case 's': {
      const Index value = pop(), key = pop();
      return set_items(top(), {key, value}), true;
    }
    case 'u': {
      const std::vector<Index> items = pop_to_mark();
      return set_items(top(), items), true;
    }
    default:
      return false;
  }
}

bool PickleMachine::object(std::uint8_t opcode) {
  switch (opcode) {
    case 'c': {
      const std::string module = line(kMaxName);
      return push_global(module, line(kMaxName)), true;
    }
    case 0x93: {  // STACK_GLOBAL
      const std::string name = expect_text(pop(), Kind::text, "a name");
      return push_global(std::string(expect_text(pop(), Kind::text, "a module")), name), true;
    }
    case 'Q':
      return load_storage(), true;
    case 'R': {
      const Index arguments = pop();
      return call(pop(), arguments), true;
    }
    case 0x81:    // NEWOBJ: class, arguments
    case 0x92: {  // NEWOBJ_EX: and named ones
      if (opcode == 0x92) pop();
      pop();
      return push_object(pop()), true;
    }
    case 'i': {  // INST: a class by name, arguments from the mark on
      const std::string module = line(kMaxName);
      push_global(module, line(kMaxName));
      const Index type = pop();
      pop_to_mark();
      return push_object(type), true;
    }
    case 'o': {  // OBJ: class and arguments from the mark on
      const std::vector<Index> items = pop_to_mark();
      if (items.empty()) refuse("an object has no class");
      return push_object(items[0]), true;
    }
    case 'b':  // BUILD: attributes (those of a state_dict are its _metadata) are left out
      pop();
      return top(), true;
    default:
      return false;
  }
}

bool PickleMachine::memory(std::uint8_t opcode) {
  switch (opcode) {
    case 'p':
      return remember(line_number()), true;
    case 'q':
      return remember(little(1)), true;
    case 'r':
      return remember(little(4)), true;
    case 0x94:
      return remember(memo_.size()), true;
    case 'g':
      return get(line_number()), true;
    case 'h':
      return get(little(1)), true;
    case 'j':
      return get(little(4)), true;
    case '0':  // POP: of a value or a mark
      if (!marks_.empty() && marks_.back() == stack_.size())
        marks_.pop_back();
      else
        pop();
      return true;
    case '1':  // POP_MARK
      return pop_to_mark(), true;
    case '2':  // DUP
      stack_.push_back(top());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::step() {
  const auto opcode = static_cast<std::uint8_t>(little(1));
  if (opcode == '.') return false;
  if (opcode == 0x80) {  // PROTO
    const std::uint64_t protocol = little(1);
    if (protocol > 5) refuse("protocol {} is not read", protocol);
    return true;
  }
  if (opcode == 0x95) return little(8), true;  // FRAME: only a hint
  if (!scalar(opcode) && !text_or_bytes(opcode) && !container(opcode) && !item(opcode) &&
      !object(opcode) && !memory(opcode))
    refuse("opcode {:#x} is not read", opcode);
  return true;
}

}  // namespace rung::io
