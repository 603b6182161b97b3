#include "io/pickle.h"

#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <type_traits>

#include "core/format.h"
#include "io/names.h"

// A machine with a stack, after Python's pickletools and torch's own restricted unpickler
// (torch/_weights_only_unpickler.py): every opcode makes at most one value.

namespace rung::io {
namespace {

using Kind = PickledValue::Kind;
using Index = Pickle::Index;

constexpr std::size_t kMaxName = 256;         // of a Python module or class
constexpr std::size_t kMaxObjects = 1 << 20;  // of each kind: some need one byte of the file
constexpr std::size_t kMaxValues = 1 << 23;   // a value needs one byte of the file, and takes 16
constexpr std::size_t kMaxTensors = 1 << 18;  // and storages: five bytes can name a long shape
constexpr std::size_t kMaxArguments = 64;     // of a call, or dimensions: they are copied

/// The storages of torch, whose names say their element types.
std::optional<Dtype> storage_dtype(std::string_view global) {
  static constexpr std::array<std::pair<std::string_view, Dtype>, 10> kStorages = {
      {{"torch FloatStorage", Dtype::F32},
       {"torch DoubleStorage", Dtype::F64},
       {"torch HalfStorage", Dtype::F16},
       {"torch BFloat16Storage", Dtype::BF16},
       {"torch LongStorage", Dtype::I64},
       {"torch IntStorage", Dtype::I32},
       {"torch ShortStorage", Dtype::I16},
       {"torch CharStorage", Dtype::I8},
       {"torch ByteStorage", Dtype::U8},
       {"torch BoolStorage", Dtype::BOOL}}};
  for (const auto& [name, dtype] : kStorages)
    if (name == global) return dtype;
  return std::nullopt;
}

bool allowed(std::string_view global) {
  return global == "collections OrderedDict" || global == "torch._utils _rebuild_tensor_v2" ||
         global == "torch._utils _rebuild_parameter" || storage_dtype(global).has_value();
}

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  Pickle run() {
    while (step()) {
    }
    if (stack_.size() != 1) refuse("it ends with {} values on the stack", stack_.size());
    out_.root = stack_[0];
    out_.length = at_;
    return std::move(out_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) const {
    fail("{}: byte {} of the pickle: {}", where_, at_,
         fmt::format(text, std::forward<Args>(args)...));
  }

  // ---- bytes
  std::span<const std::byte> take(std::uint64_t count) {
    if (count > bytes_.size() - at_) refuse("it ends too early");
    const auto taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }
  std::uint64_t little(int count) {
    std::uint64_t value = 0;
    const auto bytes = take(static_cast<std::uint64_t>(count));
    for (int i = 0; i < count; ++i)
      value |= std::uint64_t{std::to_integer<std::uint8_t>(bytes[static_cast<std::size_t>(i)])}
               << 8 * i;
    return value;
  }
  std::string text(std::uint64_t count) {
    const auto bytes = take(count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string line() {
    std::string result;
    for (char c = 0; (c = static_cast<char>(little(1))) != '\n';) {
      if (result.size() == kMaxName) refuse("a name is longer than {}", kMaxName);
      result += c;
    }
    return result;
  }

  // ---- values
  Index add(PickledValue value) {
    if (out_.values.size() >= kMaxValues) refuse("it has more than {} values", kMaxValues);
    out_.values.push_back(value);
    return static_cast<Index>(out_.values.size() - 1);
  }
  void push(Kind kind, std::int64_t integer = 0) {
    stack_.push_back(add({.kind = kind, .at = 0, .integer = integer}));
  }
  /// Puts what a value contains into its list, and the value on the stack.
  template <typename Content>
  void push(Kind kind, std::vector<Content>& list, Content content) {
    constexpr std::size_t kMost =
        std::is_same_v<Content, PickledTensor> ? kMaxTensors : kMaxObjects;
    if (list.size() >= kMost) refuse("it has more than {} objects", kMost);
    list.push_back(std::move(content));
    stack_.push_back(add({.kind = kind, .at = static_cast<Index>(list.size() - 1)}));
  }
  void push_integer(std::int64_t integer) { push(Kind::integer, integer); }
  void push_text(std::uint64_t count) { push(Kind::text, out_.texts, text(count)); }
  Index pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) refuse("the stack is empty");
    const Index top = stack_.back();
    stack_.pop_back();
    return top;
  }
  Index top() {
    const Index index = pop();
    stack_.push_back(index);
    return index;
  }
  std::vector<Index> pop_to_mark() {
    if (marks_.empty()) refuse("there is no mark");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Index> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  const PickledValue& expect(Index index, Kind kind, std::string_view what) {
    if (out_.values[index].kind != kind) refuse("expected {}", what);
    return out_.values[index];
  }
  const std::string& expect_text(Index index, Kind kind, std::string_view what) {
    return out_.texts[expect(index, kind, what).at];
  }
  const std::vector<Index>& expect_arguments(Index index, std::string_view what) {
    const std::vector<Index>& items = out_.lists[expect(index, Kind::tuple, what).at];
    if (items.size() > kMaxArguments) refuse("{}: there are {}", what, items.size());
    return items;
  }
  std::uint64_t count_of(Index index, std::string_view what) {
    const std::int64_t value = expect(index, Kind::integer, what).integer;
    if (value < 0) refuse("{} must not be negative, got {}", what, value);
    return static_cast<std::uint64_t>(value);
  }
  std::vector<std::uint64_t> counts_of(Index index, std::string_view what) {
    std::vector<std::uint64_t> counts;
    for (const Index item : expect_arguments(index, what)) counts.push_back(count_of(item, what));
    return counts;
  }

  void push_tuple(std::vector<Index> items) { push(Kind::tuple, out_.lists, std::move(items)); }
  void push_tuple(std::size_t count) {
    std::vector<Index> items(count);
    while (count-- > 0) items[count] = pop();
    push_tuple(std::move(items));
  }
  void push_global(const std::string& module, const std::string& name) {
    const std::string global = module + " " + name;
    if (!allowed(global))
      refuse("it holds a Python object of the kind {}, which is not read: save model.state_dict()",
             shown_name(module + "." + name));
    push(Kind::global, out_.texts, global);
  }
  void set_items(Index dict, const std::vector<Index>& items) {
    auto& entries = out_.dicts[expect(dict, Kind::dict, "a dict").at];
    if (items.size() % 2 != 0) refuse("a dict has a key without a value");
    for (std::size_t i = 0; i < items.size(); i += 2) entries.emplace_back(items[i], items[i + 1]);
  }
  void append(Index list, const std::vector<Index>& items) {
    auto& all = out_.lists[expect(list, Kind::list, "a list").at];
    all.insert(all.end(), items.begin(), items.end());
  }

  // ('storage', class, key, location, count), in older files also None
  void load_storage() {
    const std::vector<Index> id = expect_arguments(pop(), "the description of a storage");
    if (id.size() < 5 || expect_text(id[0], Kind::text, "a text") != "storage")
      refuse("a persistent object is no storage");
    const std::string& global = expect_text(id[1], Kind::global, "the class of a storage");
    const std::string& key = expect_text(id[2], Kind::text, "the key of a storage");
    if (key.size() > kMaxName) refuse("the key of a storage is longer than {}", kMaxName);
    const std::optional<Dtype> dtype = storage_dtype(global);
    if (!dtype) refuse("{} is no storage", shown_name(global));
    PickledTensor storage;
    storage.dtype = *dtype;
    storage.storage = key;
    storage.storage_count = count_of(id[4], "the size of a storage");
    push(Kind::storage, out_.tensors, std::move(storage));
  }

  void reduce() {
    const std::vector<Index> args = expect_arguments(pop(), "arguments");
    const std::string global = expect_text(pop(), Kind::global, "a function");
    if (global == "collections OrderedDict") {
      if (!args.empty()) refuse("an OrderedDict must begin empty");
      return push(Kind::dict, out_.dicts, {});
    }
    if (global == "torch._utils _rebuild_parameter") {
      if (args.empty()) refuse("a parameter has no tensor");
      expect(args[0], Kind::tensor, "a tensor");
      return stack_.push_back(args[0]);
    }
    if (global != "torch._utils _rebuild_tensor_v2") refuse("{} is no function", global);
    if (args.size() < 4) refuse("a tensor has {} arguments, expected at least 4", args.size());
    PickledTensor tensor = out_.tensors[expect(args[0], Kind::storage, "a storage").at];
    tensor.offset = count_of(args[1], "the offset of a tensor");
    tensor.sizes = counts_of(args[2], "the size of a tensor");
    tensor.strides = counts_of(args[3], "the stride of a tensor");
    push(Kind::tensor, out_.tensors, std::move(tensor));
  }

  void remember(std::uint64_t slot) {
    if (memo_.size() >= kMaxObjects) refuse("it remembers more than {} values", kMaxObjects);
    memo_[slot] = top();
  }
  void get(std::uint64_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) refuse("nothing was remembered as {}", slot);
    stack_.push_back(found->second);
  }

  // Runs one opcode; returns false at the end.
  bool step() {
    const auto opcode = static_cast<std::uint8_t>(little(1));
    switch (opcode) {
      case 0x80: {  // PROTO
        const std::uint64_t protocol = little(1);
        if (protocol < 2 || protocol > 5) refuse("protocol {} is not read", protocol);
        return true;
      }
      case 0x95:  // FRAME: only a hint
        little(8);
        return true;
      case '.':
        return false;
      case '(':
        if (marks_.size() >= kMaxObjects) refuse("it has more than {} marks", kMaxObjects);
        marks_.push_back(stack_.size());
        return true;
      case 'N':
        push(Kind::none);
        return true;
      case 0x88:
      case 0x89:
        push(Kind::boolean, opcode == 0x88);
        return true;
      case 'J':
        push_integer(static_cast<std::int32_t>(static_cast<std::uint32_t>(little(4))));
        return true;
      case 'K':
        push_integer(static_cast<std::int64_t>(little(1)));
        return true;
      case 'M':
        push_integer(static_cast<std::int64_t>(little(2)));
        return true;
      case 0x8a: {  // LONG1: two's complement of any length
        const auto length = static_cast<int>(little(1));
        if (length > 8) {  // only torch's magic number is so long
          push_text(static_cast<std::uint64_t>(length));
          return true;
        }
        const std::uint64_t bits = little(length);
        const int unused = 64 - 8 * length;
        push_integer(length == 0 ? 0 : static_cast<std::int64_t>(bits << unused) >> unused);
        return true;
      }
      case 'G': {  // BINFLOAT: big-endian
        std::uint64_t bits = 0;
        for (int i = 0; i < 8; ++i) bits = bits << 8 | little(1);
        push(Kind::real, std::bit_cast<std::int64_t>(bits));
        return true;
      }
      case 'X':
        push_text(little(4));
        return true;
      case 0x8c:
        push_text(little(1));
        return true;
      case 0x8d:
        push_text(little(8));
        return true;
      case ')':
        push_tuple(std::vector<Index>{});
        return true;
      case 0x85:
      case 0x86:
      case 0x87:
        push_tuple(std::size_t{opcode} - 0x84);
        return true;
      case 't':
        push_tuple(pop_to_mark());
        return true;
      case ']':
        push(Kind::list, out_.lists, {});
        return true;
      case '}':
        push(Kind::dict, out_.dicts, {});
        return true;
      case 'a': {
        const Index item = pop();
        append(top(), {item});
        return true;
      }
      case 'e': {
        const std::vector<Index> items = pop_to_mark();
        append(top(), items);
        return true;
      }
      case 's': {
        const Index value = pop(), key = pop();
        set_items(top(), {key, value});
        return true;
      }
      case 'u': {
        const std::vector<Index> items = pop_to_mark();
        set_items(top(), items);
        return true;
      }
      case 'c': {
        const std::string module = line();
        push_global(module, line());
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const std::string name = expect_text(pop(), Kind::text, "a name");
        push_global(std::string(expect_text(pop(), Kind::text, "a module")), name);
        return true;
      }
      case 'Q':
        load_storage();
        return true;
      case 'R':
        reduce();
        return true;
      case 'b':  // BUILD: attributes of a dict (state_dict's _metadata) are left out
        pop();
        expect(top(), Kind::dict, "a dict");
        return true;
      case 'q':
        remember(little(1));
        return true;
      case 'r':
        remember(little(4));
        return true;
      case 0x94:
        remember(memo_.size());
        return true;
      case 'h':
        get(little(1));
        return true;
      case 'j':
        get(little(4));
        return true;
      default:
        refuse("opcode {:#x} is not read", opcode);
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  std::size_t at_ = 0;
  Pickle out_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint64_t, Index> memo_;
};

}  // namespace

Pickle read_pickle(std::span<const std::byte> bytes, const std::string& where) {
  return Machine(bytes, where).run();
}

}  // namespace rung::io
