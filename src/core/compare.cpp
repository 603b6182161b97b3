// Whether two tensors are equal, or nearly: torch.equal and torch.allclose.

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "rung/core/tensor.h"

namespace rung {

bool equal(const ConstTensor& a, const ConstTensor& b) {
  return a.defined() == b.defined() && a.shape() == b.shape() &&
         std::ranges::equal(a.data(), b.data());
}

bool allclose(const ConstTensor& a, const ConstTensor& b, const AllcloseOptions& options) {
  require(a.defined() && b.defined() && a.shape() == b.shape(),
          "allclose: two tensors of one shape are needed, got {} and {}", a.shape(), b.shape());
  const auto close = [&](float x, float y) {
    if (x == y) return true;  // infinities too
    if (std::isnan(x) || std::isnan(y)) return options.equal_nan && std::isnan(x) && std::isnan(y);
    if (std::isinf(x) || std::isinf(y)) return false;
    return std::abs(double{x} - y) <= options.atol + options.rtol * std::abs(double{y});
  };
  return std::ranges::equal(a.data(), b.data(), close);
}

}  // namespace rung
