#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rung/io/safetensors.h"

// What torch.save writes of a state_dict: a Python pickle. Nothing in it is executed: a short list
// of names is understood, everything else stays a name, and what comes out are plain values.

namespace rung::io {

/// A tensor as a pickle describes it: a view of a storage.
struct PickledTensor {
  Dtype dtype = Dtype::F32;
  std::string storage;              ///< its key
  std::uint64_t storage_count = 0;  ///< elements of the storage
  std::uint64_t offset = 0;         ///< elements
  std::vector<std::uint64_t> sizes, strides;
};

/// A value of a pickle; what it contains stands in the Pickle's lists.
struct PickledValue {
  enum class Kind : std::uint8_t {
    none,
    boolean,
    integer,
    real,
    text,
    tuple,
    list,
    dict,
    global,
    storage,
    tensor,
    object  ///< of any class, or what any function would return: nobody has made it
  };
  Kind kind = Kind::none;
  /// In texts (also of a global: "module name"), lists, dicts (also the items of an object) or
  /// tensors.
  std::uint32_t at = 0;
  /// Also of a boolean; the bits of a real; of an object the place of its class or function in
  /// texts.
  std::int64_t integer = 0;
};

struct Pickle {
  using Index = std::uint32_t;  ///< into values
  std::vector<PickledValue> values;
  std::vector<std::string> texts;
  std::vector<std::vector<Index>> lists;  ///< of tuples and lists
  std::vector<std::vector<std::pair<Index, Index>>> dicts;
  std::vector<PickledTensor> tensors;  ///< of tensors and storages
  Index root = 0;
  std::size_t length = 0;  ///< bytes that were read, up to and with STOP
};

/// Reads one pickle (protocols 0 to 5; of Python 2, too) from the beginning of `bytes`. Objects of
/// other classes than tensors, numbers, texts, tuples, lists and dicts come out as names without
/// content. Throws Error that begins with `where` if it is damaged. Memory is bounded by a small
/// multiple of the bytes, and by a limit on the number of containers.
Pickle read_pickle(std::span<const std::byte> bytes, const std::string& where);

}  // namespace rung::io
