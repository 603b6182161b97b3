#include "analysis/number_differences.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "analysis/code_counts.h"
#include "analysis/pieces.h"
#include "rung/core/parallel.h"

namespace rung::analysis {
namespace {

/// How far a number on a grid may be from a whole number of steps: the rounding of scale times
/// code.
bool is_on_grid(double steps) {
  constexpr double kAbsolute = 1e-3, kRelative = 1e-6;
  return std::abs(steps - std::nearbyint(steps)) <= kAbsolute + kRelative * std::abs(steps);
}

}  // namespace

NumberDifferences::Totals& NumberDifferences::Totals::operator+=(const Totals& other) {
  different += other.different;
  off_grid += other.off_grid;
  largest = std::max(largest, other.largest);
  distance += other.distance;
  codes.equal += other.codes.equal;
  codes.one += other.codes.one;
  codes.two += other.codes.two;
  codes.more += other.codes.more;
  ties.count += other.ties.count;
  ties.different += other.ties.different;
  return *this;
}

NumberDifferences::Totals NumberDifferences::compare_piece(std::span<const float> a,
                                                           std::span<const float> b,
                                                           std::span<const float> before,
                                                           float scale) const {
  Totals sums;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    const bool same = x == y || (std::isnan(x) && std::isnan(y));
    double distance = same ? 0.0 : std::abs(x - y);
    if (std::isnan(distance)) distance = std::numeric_limits<double>::infinity();
    const bool is_close = distance <= tolerance_ * std::max(1.0, std::abs(x));
    const bool differs = !same && (std::isinf(distance) || !is_close);
    sums.different += differs ? 1 : 0;
    sums.largest = std::max(sums.largest, distance);
    sums.distance += distance;
    if (scale == 0.0f) continue;
    const double k = x / scale, l = y / scale;
    if (!is_on_grid(k) || !is_on_grid(l)) {
      ++sums.off_grid;
      continue;
    }
    const double steps = std::abs(std::nearbyint(k) - std::nearbyint(l));
    ++(steps == 0   ? sums.codes.equal
       : steps == 1 ? sums.codes.one
       : steps == 2 ? sums.codes.two
                    : sums.codes.more);
    if (before.empty() || !is_tie(before[i] / scale)) continue;
    ++sums.ties.count;
    sums.ties.different += differs ? 1 : 0;
  }
  return sums;
}

void NumberDifferences::add(const ConstTensor& expected, const ConstTensor& actual,
                            const ConstTensor& before) {
  differences_ += compare(expected, actual);
  const bool has_before = before.defined() && before.shape() == expected.shape();
  has_before_ = has_before_ || has_before;
  const std::vector<Piece> pieces =
      pieces_of(expected.shape(), grid_ ? grid_->granularity() : Granularity{});
  std::vector<Totals> sums(pieces.size());
  constexpr std::int64_t kTogether = 4;
  parallel_for(std::ssize(pieces), kTogether, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const Piece& piece = pieces[i];
      const auto cut = [&](std::span<const float> all) {
        return all.empty() ? all : all.subspan(piece.begin, piece.size);
      };
      sums[i] = compare_piece(cut(expected.data()), cut(actual.data()),
                              has_before ? cut(before.data()) : std::span<const float>(),
                              grid_ ? grid_->scale[piece.channel] : 0.0f);
    }
  });
  for (const Totals& each : sums) totals_ += each;
}

void NumberDifferences::put(TensorDifference& result) const {
  result.different = totals_.different;
  result.largest = totals_.largest;
  result.error = differences_.error();
  result.mean =
      differences_.count == 0 ? 0.0 : totals_.distance / static_cast<double>(differences_.count);
  if (!grid_ || totals_.off_grid > 0) return;
  result.codes = totals_.codes;
  if (has_before_) result.ties = totals_.ties;
}

std::optional<Encoding> common_grid(const std::optional<Encoding>& first,
                                    const std::optional<Encoding>& second) {
  if (!first || !second) return first ? first : second;
  // Files may hold a scale that was rounded once more.
  constexpr float kClose = 1e-6f;
  const auto close = [&](float x, float y) { return std::abs(x - y) <= kClose * x; };
  const bool same = std::ranges::equal(first->scale, second->scale, close) &&
                    first->offset == second->offset && first->axis == second->axis &&
                    first->blocks == second->blocks;
  return same ? first : std::nullopt;
}

}  // namespace rung::analysis
