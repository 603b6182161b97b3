#include "ptq/weight_codes.h"

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>

#include "rung/quant/fake_quantize.h"

namespace rung::ptq {

namespace {

// Weight, min, max and scale are each rounded to half an ulp, relative to numbers that may be twice
// as large.
constexpr int kMostUlps = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

WeightCodes::WeightCodes(const QuantizerHandle& quantizer, std::vector<float> factor)
    : quantizer_(quantizer), factor_(std::move(factor)), before_(codes()) {}

std::vector<std::int32_t> WeightCodes::codes() const {
  if (quantizer_.op().quantizer().pass_through()) return {};
  const Parameter& weight = *quantizer_.source().parameter();
  return quantize(weight.value().data(), weight.shape(), quantizer_.encoding());
}

/// The offset of an asymmetric grid is rounded, too: it must stay, or become that of the mirror.
Range WeightCodes::scaled(const Range& range, float c) const {
  Range result = {range.min * c, range.max * c};
  if (c < 0) std::swap(result.min, result.max);
  const Quantizer& quantizer = quantizer_.op().quantizer();
  if (quantizer.resolved_symmetry() != Symmetry::asymmetric || quantizer.pass_through())
    return result;
  const auto offset = [&](const Range& each) {
    return encoding_from_range(each, quantizer.bitwidth(), Symmetry::asymmetric).offset[0];
  };
  const std::int64_t old = offset(range);
  const std::int64_t wanted = c > 0 ? old : -quantizer.grid().steps() - old;
  for (int i = 0; i < kMostUlps; ++i) {
    const std::int64_t now = offset(result);
    if (now == wanted) break;
    result.min = std::nextafter(result.min, now < wanted ? 0.0f : -kInfinity);
  }
  return result;
}

/// Returns the code that a weight must have after it was multiplied by c; `otherwise` where the
/// ends of the grid have no mirror.
std::int32_t WeightCodes::expected(std::int32_t code, float c, std::int32_t otherwise) const {
  if (c > 0) return code;
  const Quantizer& quantizer = quantizer_.op().quantizer();
  const Grid grid = quantizer.grid();
  const auto mirror = static_cast<std::int32_t>(
      quantizer.resolved_symmetry() == Symmetry::asymmetric ? grid.qmin + grid.qmax - code : -code);
  const bool one_sided = -grid.qmin > grid.qmax && (code == grid.qmin || code == grid.qmax);
  return one_sided ? otherwise : mirror;
}

void WeightCodes::keep() const {
  std::vector<Range> ranges = quantizer_.ranges();
  const std::size_t blocks = ranges.size() / factor_.size();  // of one channel
  for (std::size_t i = 0; i < ranges.size(); ++i)
    // Of a channel times 0 only zeros are left: any range will do, and none is empty.
    if (const float c = factor_[i / blocks]; c != 0) ranges[i] = scaled(ranges[i], c);
  // A frozen quantizer, too: its codes stay, that is the point.
  quantizer_.op().set_ranges(ranges, quantizer_.parameters());

  Parameter& weight = *quantizer_.source().parameter();
  const std::size_t row = before_.size() / factor_.size();
  for (int step = 0; step < kMostUlps; ++step) {
    const std::vector<std::int32_t> now = codes();
    bool all_right = true;
    for (std::size_t i = 0; i < now.size(); ++i) {
      const float c = factor_[i / row];
      const std::int32_t wanted = c == 0 ? now[i] : expected(before_[i], c, now[i]);
      if (std::abs(wanted - now[i]) != 1) continue;  // 2: no rounding does that, the step is tiny
      float& w = weight.edit().data()[i];
      w = std::nextafter(w, now[i] < wanted ? kInfinity : -kInfinity);
      all_right = false;
    }
    if (all_right) return;
  }
}

}  // namespace rung::ptq
