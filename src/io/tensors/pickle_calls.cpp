#include <array>
#include <optional>

#include "io/files/names.h"
#include "io/tensors/pickle_machine.h"

// What torch.save makes of tensors: calls of a few functions, with storages as persistent objects.

namespace rung::io {
namespace {

/// The storages of torch, whose names say their element types, and its types of elements.
std::optional<Dtype> dtype_of(std::string_view global) {
  static constexpr auto kNames = std::to_array<std::pair<std::string_view, Dtype>>({
      {"torch FloatStorage", Dtype::F32},
      {"torch DoubleStorage", Dtype::F64},
      {"torch HalfStorage", Dtype::F16},
      {"torch BFloat16Storage", Dtype::BF16},
      {"torch LongStorage", Dtype::I64},
      {"torch IntStorage", Dtype::I32},
      {"torch ShortStorage", Dtype::I16},
      {"torch CharStorage", Dtype::I8},
      {"torch ByteStorage", Dtype::U8},
      {"torch BoolStorage", Dtype::BOOL},
      {"torch UntypedStorage", Dtype::U8},  // _rebuild_tensor_v3 says the type
      {"torch.storage UntypedStorage", Dtype::U8},
      {"torch float32", Dtype::F32},
      {"torch float64", Dtype::F64},
      {"torch float16", Dtype::F16},
      {"torch bfloat16", Dtype::BF16},
      {"torch float8_e4m3fn", Dtype::F8_E4M3},
      {"torch float8_e5m2", Dtype::F8_E5M2},
      {"torch float8_e4m3fnuz", Dtype::F8_E4M3FNUZ},
      {"torch float8_e5m2fnuz", Dtype::F8_E5M2FNUZ},
      {"torch float8_e8m0fnu", Dtype::F8_E8M0},
      {"torch int64", Dtype::I64},
      {"torch int32", Dtype::I32},
      {"torch int16", Dtype::I16},
      {"torch int8", Dtype::I8},
      {"torch uint64", Dtype::U64},
      {"torch uint32", Dtype::U32},
      {"torch uint16", Dtype::U16},
      {"torch uint8", Dtype::U8},
      {"torch bool", Dtype::BOOL},
  });
  for (const auto& [name, dtype] : kNames)
    if (name == global) return dtype;
  return std::nullopt;
}

}  // namespace

void PickleMachine::push_object(Index type) {
  const PickledValue& value = out_.values[type];
  const bool is_object = value.kind == Kind::object;
  if (!is_object) expect(type, Kind::global, "a class or function");
  push(Kind::object, out_.dicts, {}, is_object ? value.integer : value.at);
}

// ('storage', class, key, location, count), in older files also None or (key, offset, count) of a
// part of the storage; ('module', class, ...) stands for a class in files of whole modules.
void PickleMachine::load_storage() {
  const std::vector<Index> id = expect_arguments(pop(), "the description of a storage");
  const std::string kind =
      id.size() < 2 ? "" : expect_text(id[0], Kind::text, "the kind of a persistent object");
  if (kind == "module") return stack_.push_back(id[1]);
  if (id.size() < 5 || kind != "storage") refuse("a persistent object is no storage");
  const std::string& global = expect_text(id[1], Kind::global, "the class of a storage");
  const std::string& key = expect_text(id[2], Kind::text, "the key of a storage");
  if (key.size() > kMaxName) refuse("the key of a storage is longer than {}", kMaxName);
  const std::optional<Dtype> dtype = dtype_of(global);
  if (!dtype) return push_object(id[1]);  // of quantized or complex numbers
  PickledTensor storage;
  storage.dtype = *dtype;
  storage.storage = key;
  storage.storage_count = count_of(id[4], "the size of a storage");
  if (id.size() > 5 && !is(id[5], Kind::none)) {
    const std::vector<Index>& part = expect_arguments(id[5], "a part of a storage");
    if (part.size() != 3) refuse("a part of a storage has {} numbers, not 3", part.size());
    storage.offset = count_of(part[1], "the offset of a part of a storage");
  }
  push(Kind::storage, out_.tensors, std::move(storage));
}

void PickleMachine::make_dict(const std::vector<Index>& arguments) {
  std::vector<std::pair<Index, Index>> entries;
  // Python 2 makes an OrderedDict of a list of pairs.
  if (arguments.size() == 1 && is(arguments[0], Kind::list))
    for (const Index item : out_.lists[out_.values[arguments[0]].at]) {
      const bool is_pair = (is(item, Kind::tuple) || is(item, Kind::list)) &&
                           out_.lists[out_.values[item].at].size() == 2;
      if (!is_pair) refuse("a dict is made of something else than pairs");
      const std::vector<Index>& pair = out_.lists[out_.values[item].at];
      entries.emplace_back(pair[0], pair[1]);
    }
  push(Kind::dict, out_.dicts, std::move(entries));
}

void PickleMachine::rebuild_tensor(const std::vector<Index>& arguments) {
  if (arguments.size() < 4)
    refuse("a tensor has {} arguments, expected at least 4", arguments.size());
  if (is(arguments[0], Kind::object)) return push_object(arguments[0]);
  PickledTensor tensor = out_.tensors[expect(arguments[0], Kind::storage, "a storage").at];
  const std::uint64_t offset = count_of(arguments[1], "the offset of a tensor");
  if (__builtin_add_overflow(tensor.offset, offset, &tensor.offset))
    refuse("the offset of a tensor is too large");
  tensor.sizes = counts_of(arguments[2], "the size of a tensor");
  tensor.strides = counts_of(arguments[3], "the stride of a tensor");
  push(Kind::tensor, out_.tensors, std::move(tensor));
}

// (storage of bytes, offset, size, stride, requires_grad, hooks, dtype)
void PickleMachine::rebuild_typed_tensor(const std::vector<Index>& arguments) {
  if (arguments.size() < 7)
    refuse("a tensor has {} arguments, expected at least 7", arguments.size());
  const std::string type = expect_text(arguments[6], Kind::global, "a type of elements");
  const std::optional<Dtype> dtype = dtype_of(type);
  if (!dtype) return push_object(arguments[6]);
  rebuild_tensor(arguments);
  if (!is(top(), Kind::tensor)) return;
  PickledTensor& tensor = out_.tensors[out_.values[top()].at];
  const auto size = static_cast<std::uint64_t>(bit_size(*dtype)) / 8;
  if (tensor.storage_count % size != 0) refuse("a storage ends within an element");
  tensor.storage_count /= size;
  tensor.dtype = *dtype;
}

void PickleMachine::call(Index function, Index arguments) {
  if (!is(function, Kind::global)) return push_object(function);
  const std::string global = out_.texts[out_.values[function].at];
  const auto args = [&] { return expect_arguments(arguments, "arguments"); };
  if (global == "collections OrderedDict" || global == "collections defaultdict" ||
      global == "__builtin__ dict" || global == "builtins dict")
    return make_dict(args());
  if (global == "torch._utils _rebuild_tensor_v2" || global == "torch._utils _rebuild_tensor")
    return rebuild_tensor(args());
  if (global == "torch._utils _rebuild_tensor_v3") return rebuild_typed_tensor(args());
  if (global == "torch._utils _rebuild_parameter" ||
      global == "torch._utils _rebuild_parameter_with_state") {
    const std::vector<Index> parameter = args();
    if (parameter.empty()) refuse("a parameter has no tensor");
    return stack_.push_back(parameter[0]);
  }
  if (global == "torch._tensor _rebuild_from_type_v2") {  // (function, class, arguments, state)
    const std::vector<Index> made = args();
    if (made.size() < 3) refuse("a tensor of a class has {} arguments, not 4", made.size());
    const std::string inner = expect_text(made[0], Kind::global, "a function");
    if (inner == global) refuse("a tensor of a class is made of another");
    return call(made[0], made[2]);
  }
  push_object(function);
}

}  // namespace rung::io
