// Prints a tensor as torch does: brackets per axis, numbers in columns, the middle left out where
// there are many.

#include <algorithm>
#include <cmath>
#include <ostream>
#include <vector>

#include "core/check.h"
#include "rung/core/tensor.h"

namespace rung {
namespace {

constexpr std::int64_t kSummarized = 1000;  // elements; torch.set_printoptions' threshold
constexpr std::int64_t kEdge = 3;           // indices shown at either end of an axis then
constexpr std::size_t kLineWidth = 80;

/// How all numbers of a tensor are printed, so that they stand in columns.
class Column {
 public:
  explicit Column(std::span<const float> shown) {
    double largest = 0, smallest = INFINITY;
    for (const float value : shown) {
      if (!std::isfinite(value) || value == 0) continue;
      whole_ = whole_ && value == std::nearbyint(value);
      largest = std::max(largest, std::abs(double{value}));
      smallest = std::min(smallest, std::abs(double{value}));
    }
    // torch's rule for when a column needs exponents.
    scientific_ =
        largest > 0 && (largest / smallest > 1e3 || largest > 1e8 || (!whole_ && smallest < 1e-4));
    for (const float value : shown)
      if (std::isfinite(value)) width_ = std::max(width_, text(value).size());
  }
  std::string padded(float value) const { return fmt::format("{:>{}}", text(value), width_); }
  std::size_t width() const { return width_; }

 private:
  std::string text(float value) const {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    if (scientific_) return fmt::format("{:.4e}", value);
    return whole_ ? fmt::format("{:.0f}.", value) : fmt::format("{:.4f}", value);
  }
  bool whole_ = true, scientific_ = false;
  std::size_t width_ = 0;
};

/// Which indices of an axis are shown; -1 stands for "...".
std::vector<std::int64_t> indices(std::int64_t extent, bool summarized) {
  std::vector<std::int64_t> list;
  for (std::int64_t i = 0; i < extent; ++i) {
    if (summarized && extent > 2 * kEdge && i == kEdge) {
      list.push_back(-1);
      i = extent - kEdge;
    }
    list.push_back(i);
  }
  return list;
}

/// What is shown of a tensor, axis by axis.
struct Printer {
  const ConstTensor& tensor;
  bool summarized;

  template <typename Visit>
  void each_shown(std::int64_t axis, std::int64_t offset, const Visit& visit) const {
    if (axis == tensor.rank()) return visit(tensor.data()[static_cast<std::size_t>(offset)]);
    const std::int64_t extent = tensor.size(axis);
    for (const std::int64_t i : indices(extent, summarized))
      if (i >= 0) each_shown(axis + 1, offset * extent + i, visit);
  }

  std::string text(std::int64_t axis, std::int64_t offset, std::size_t indent,
                   const Column& column) const {
    if (axis == tensor.rank())
      return column.padded(tensor.data()[static_cast<std::size_t>(offset)]);
    const std::int64_t extent = tensor.size(axis), below = tensor.rank() - axis - 1;
    const std::string margin(indent + 1, ' ');
    const std::size_t room = kLineWidth - std::min(kLineWidth, indent);
    const std::size_t per_line = std::max<std::size_t>(1, room / (column.width() + 2));
    std::string line = "[";
    std::size_t count = 0;
    for (const std::int64_t i : indices(extent, summarized)) {
      const bool new_line = below > 0 || count % per_line == 0;
      if (count > 0) line += ',';
      if (count > 0 && new_line)
        line.append(static_cast<std::size_t>(std::max<std::int64_t>(below, 1)), '\n')
            .append(margin);
      else if (count > 0)
        line += ' ';
      if (i < 0)
        line += below > 0 ? "..." : " ...";
      else
        line += text(axis + 1, offset * extent + i, indent + 1, column);
      ++count;
    }
    return line + "]";
  }
};

}  // namespace

std::string to_string(const ConstTensor& tensor) {
  if (!tensor.defined()) return "tensor(undefined)";
  const Printer printer{tensor, tensor.numel() > kSummarized};
  std::vector<float> shown;
  if (tensor.numel() > 0) printer.each_shown(0, 0, [&](float value) { shown.push_back(value); });
  const std::string numbers =
      tensor.numel() > 0 ? printer.text(0, 0, std::string_view("tensor(").size(), Column(shown))
                         : "[]";
  return fmt::format("tensor({}, {})", numbers, tensor.shape());
}

std::ostream& operator<<(std::ostream& out, const ConstTensor& tensor) {
  return out << to_string(tensor);
}

}  // namespace rung
