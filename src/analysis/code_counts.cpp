#include "analysis/code_counts.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <span>

#include "analysis/pieces.h"
#include "rung/core/parallel.h"
#include "rung/quant/fake_quantize.h"

namespace rung::analysis {
namespace {

constexpr int kMostCountedBits = 16;

// As rung/quant/fake_quantize.h says; threads may note the same code at once.
CodeSums sums_of(std::span<const float> numbers, std::size_t channel, const Encoding& encoding,
                 std::span<std::uint8_t> used) {
  const float scale = encoding.scale[channel];
  const auto offset = static_cast<float>(encoding.offset[channel]);
  const auto lowest = static_cast<float>(encoding.grid.qmin);
  const auto highest = static_cast<float>(encoding.grid.qmax);
  CodeSums sums;
  for (const float x : numbers) {
    const float steps = x / scale;
    const float exact = std::nearbyint(steps) - offset;
    const float code = std::clamp(exact, lowest, highest);
    const double error = double{x} - double{(code + offset) * scale};
    const bool is_below = exact<lowest, is_above = exact> highest;
    sums.below += is_below ? 1 : 0;
    sums.above += is_above ? 1 : 0;
    (is_below || is_above ? sums.clipping : sums.rounding) += error * error;
    sums.ties += is_tie(steps) ? 1 : 0;
    if (!used.empty())
      std::atomic_ref(used[static_cast<std::size_t>(code - lowest)])
          .store(1, std::memory_order_relaxed);
  }
  return sums;
}

}  // namespace

CodeSums& CodeSums::operator+=(const CodeSums& other) {
  below += other.below;
  above += other.above;
  ties += other.ties;
  clipping += other.clipping;
  rounding += other.rounding;
  return *this;
}

CodeCounts::CodeCounts(const QuantizerHandle& quantizer)
    : quantizer_(quantizer),
      encoding_(quantizer.encoding()),
      has_codes_(!encoding_.is_float() && !encoding_.pass_through() &&
                 quantizer.op().quantizer().runs_fused()) {
  if (has_codes_ && encoding_.bitwidth <= kMostCountedBits)
    used_.assign(static_cast<std::size_t>(encoding_.grid.steps()) + 1, 0);
}

void CodeCounts::add(const ConstTensor& x) {
  differences_ += compare(x, quantizer_.quantize_dequantize(x));
  if (has_codes_) add_codes(x);
}

void CodeCounts::add_codes(const ConstTensor& x) {
  const std::vector<Piece> pieces = pieces_of(x.shape(), encoding_.granularity());
  std::vector<CodeSums> sums(pieces.size());
  constexpr std::int64_t kTogether = 8;
  parallel_for(std::ssize(pieces), kTogether, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      sums[i] = sums_of(x.data().subspan(pieces[i].begin, pieces[i].size), pieces[i].channel,
                        encoding_, used_);
  });
  for (const CodeSums& each : sums) sums_ += each;
}

namespace {

double mse_of_parameter(const QuantizerHandle& quantizer, int bitwidth) {
  std::vector<float> min, max;
  for (const Range& range : quantizer.ranges()) {
    min.push_back(range.min);
    max.push_back(range.max);
  }
  const rung::Quantizer& settings = quantizer.op().quantizer();
  const Encoding encoding =
      encoding_from_range(min, max, bitwidth, settings.resolved_symmetry(), settings.granularity());
  const ConstTensor& values = quantizer.source().parameter()->value();
  return compare(values, rung::quantize_dequantize(values, encoding)).mse();
}

}  // namespace

double CodeCounts::mse_at(int bitwidth) const {
  if (!has_codes_) return mse();
  if (quantizer_.source().parameter() != nullptr) return mse_of_parameter(quantizer_, bitwidth);
  const auto steps = static_cast<double>(encoding_.grid.steps());
  const auto others = static_cast<double>(make_grid(bitwidth, encoding_.symmetry).steps());
  const auto count = static_cast<double>(std::max<std::int64_t>(differences_.count, 1));
  return (sums_.clipping + sums_.rounding * (steps / others) * (steps / others)) / count;
}

double CodeCounts::mean_square() const {
  const auto count = static_cast<double>(std::max<std::int64_t>(differences_.count, 1));
  return differences_.expected / count;
}

std::optional<Codes> CodeCounts::codes() const {
  if (!has_codes_) return std::nullopt;
  const auto count = static_cast<double>(std::max<std::int64_t>(differences_.count, 1));
  Codes codes{.clipped_below = static_cast<double>(sums_.below) / count,
              .clipped_above = static_cast<double>(sums_.above) / count,
              .ties = static_cast<double>(sums_.ties) / count,
              .clipping_mse = sums_.clipping / count,
              .rounding_mse = sums_.rounding / count};
  if (!used_.empty())
    codes.used =
        static_cast<double>(std::ranges::count(used_, 1)) / static_cast<double>(used_.size());
  return codes;
}

}  // namespace rung::analysis
