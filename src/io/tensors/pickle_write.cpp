#include "io/tensors/pickle_write.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "core/check.h"
#include "io/files/names.h"

namespace rung::io {
namespace {

// Opcodes of Python's pickletools.
constexpr char kGlobal = 'c', kEmptyTuple = ')', kReduce = 'R', kMark = '(', kTuple = 't',
               kPersistentId = 'Q', kSetItems = 'u', kStop = '.', kUnicode = 'X', kInt8 = 'K',
               kInt32 = 'J', kLong = '\x8a', kFalse = '\x89';
constexpr std::string_view kProtocol2 = "\x80\x02";
constexpr std::string_view kOrderedDict = "collections\nOrderedDict\n";

template <typename T>
std::string little_endian(T value) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string_view storage_type(Dtype dtype, std::string_view name) {
  switch (dtype) {
    case Dtype::F32:
      return "torch\nFloatStorage\n";
    case Dtype::F64:
      return "torch\nDoubleStorage\n";
    case Dtype::F16:
      return "torch\nHalfStorage\n";
    case Dtype::BF16:
      return "torch\nBFloat16Storage\n";
    case Dtype::I64:
      return "torch\nLongStorage\n";
    case Dtype::I32:
      return "torch\nIntStorage\n";
    case Dtype::I16:
      return "torch\nShortStorage\n";
    case Dtype::I8:
      return "torch\nCharStorage\n";
    case Dtype::U8:
      return "torch\nByteStorage\n";
    case Dtype::BOOL:
      return "torch\nBoolStorage\n";
    default:
      fail("{} is of the type {}, which is not written to a PyTorch checkpoint", shown_name(name),
           to_string(dtype));
  }
}

}  // namespace

StateDictPickle::StateDictPickle() : out_(kProtocol2) {
  global(kOrderedDict);
  out_ += kEmptyTuple;
  out_ += kReduce;
  out_ += kMark;
}

void StateDictPickle::global(std::string_view module_and_name) {
  out_ += kGlobal;
  out_ += module_and_name;
}

void StateDictPickle::text(std::string_view text) {
  out_ += kUnicode;
  out_ += little_endian(static_cast<std::uint32_t>(text.size()));
  out_ += text;
}

void StateDictPickle::integer(std::int64_t value) {
  if (value >= 0 && value <= 255) {
    out_ += kInt8;
    out_ += static_cast<char>(value);
  } else if (value >= 0 && value <= std::numeric_limits<std::int32_t>::max()) {
    out_ += kInt32;
    out_ += little_endian(static_cast<std::int32_t>(value));
  } else {
    out_ += kLong;
    out_ += static_cast<char>(sizeof value);
    out_ += little_endian(value);
  }
}

void StateDictPickle::tensor(std::string_view name, Dtype dtype, const Shape& shape,
                             std::string_view storage) {
  const std::string_view type = storage_type(dtype, name);
  text(name);
  global("torch._utils\n_rebuild_tensor_v2\n");
  out_ += kMark;

  out_ += kMark;  // the storage, a persistent id: ("storage", type, key, device, elements)
  text("storage");
  global(type);
  text(storage);
  text("cpu");
  integer(shape.numel());
  out_ += kTuple;
  out_ += kPersistentId;

  integer(0);  // offset in the storage
  std::vector<std::int64_t> strides(shape.rank(), 1);
  for (std::size_t i = shape.rank(); i-- > 1;)
    strides[i - 1] = strides[i] * std::max<std::int64_t>(1, shape.dims()[i]);
  for (const std::span<const std::int64_t> extents :
       {shape.dims(), std::span<const std::int64_t>(strides)}) {
    out_ += kMark;
    for (const std::int64_t extent : extents) integer(extent);
    out_ += kTuple;
  }
  out_ += kFalse;        // requires_grad
  global(kOrderedDict);  // backward hooks
  out_ += kEmptyTuple;
  out_ += kReduce;

  out_ += kTuple;
  out_ += kReduce;
}

std::string StateDictPickle::finish() {
  out_ += kSetItems;
  out_ += kStop;
  return std::move(out_);
}

}  // namespace rung::io
