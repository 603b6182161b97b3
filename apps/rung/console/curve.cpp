#include "console/curve.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace rung::cli {

void Curve::add(double y) {
  if (!std::isfinite(y)) return;
  if (sums_.empty() || in_last_ == per_column_) {
    if (sums_.size() == kColumns) {  // each two become one
      for (std::size_t i = 0; i < kColumns / 2; ++i) sums_[i] = sums_[2 * i] + sums_[2 * i + 1];
      sums_.resize(kColumns / 2);
      per_column_ *= 2;
    }
    sums_.push_back(0);
    in_last_ = 0;
  }
  sums_.back() += y;
  ++in_last_;
}

double Curve::mean(std::size_t column) const {
  return sums_[column] / (column + 1 == sums_.size() ? in_last_ : per_column_);
}

std::string Curve::text() const {
  constexpr std::array<std::string_view, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::vector<double> means;
  for (std::size_t i = 0; i < sums_.size(); ++i) means.push_back(mean(i));
  if (means.empty()) return {};
  const auto [low, high] = std::ranges::minmax(means);
  std::string text;
  for (const double y : means) {
    const double height = high > low ? (y - low) / (high - low) : 0.0;
    text += kBlocks[static_cast<std::size_t>(std::lround(height * (kBlocks.size() - 1)))];
  }
  return text;
}

}  // namespace rung::cli
