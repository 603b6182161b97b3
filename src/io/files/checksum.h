#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rung/core/tensor.h"

namespace rung::io {

/// Named float32 tensors in the order in which a file has them.
using NamedTensors = std::vector<std::pair<std::string, ConstTensor>>;

/// Returns 32 hexadecimal digits, XXH3 with 128 bits, of texts (in the order of their keys) and
/// tensors: names, shapes and bits. Lengths are part of it, so that nothing can move between
/// neighbours unseen. It finds accidents, not forgeries.
std::string checksum(const std::map<std::string, std::string>& texts, const NamedTensors& tensors);

}  // namespace rung::io
