#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace rung::cli {

/// A curve of one line of text, of at most kColumns columns however many numbers it has.
class Curve {
 public:
  static constexpr std::size_t kColumns = 24;

  /// Adds a number; those that are not finite are left out.
  void add(double y);
  /// Returns a block for each column, as high as the mean of its numbers.
  std::string text() const;
  std::size_t columns() const { return sums_.size(); }

 private:
  double mean(std::size_t column) const;

  std::vector<double> sums_;  // of each column's numbers
  double per_column_ = 1;     // of which the last may have fewer
  double in_last_ = 0;
};

}  // namespace rung::cli
