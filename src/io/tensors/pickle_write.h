#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rung/core/shape.h"
#include "rung/io/safetensors.h"

namespace rung::io {

/// Writes the pickle (protocol 2) of a state_dict: a collections.OrderedDict of tensors that lie
/// row-major in a storage each.
class StateDictPickle {
 public:
  StateDictPickle();
  /// Adds a tensor that fills the storage with this key. Throws Error for a dtype that torch 1.13
  /// has no storage of.
  void tensor(std::string_view name, Dtype dtype, const Shape& shape, std::string_view storage);
  /// Returns the pickle; nothing can be added any more.
  std::string finish();

 private:
  void global(std::string_view module_and_name);
  void text(std::string_view text);
  void integer(std::int64_t value);

  std::string out_;
};

}  // namespace rung::io
