// Reshape.

#include <algorithm>
#include <optional>

#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

/// One extent that a Reshape asks for: fixed + per_batch * N.
struct Extent {
  std::int64_t fixed = 0, per_batch = 0;
  bool follows() const { return per_batch != 0; }
};

/// Turns what the file asks for into an attribute that fits any batch size: 0 keeps an axis, -1
/// takes what is left.
class ReshapeTarget {
 public:
  ReshapeTarget(const Shape& x, const Shape* larger, std::int64_t batch)
      : x_(x), larger_(larger != nullptr ? *larger : x), batch_(batch) {}

  Integers of(std::vector<Extent> extents, bool batch_is_open) const {
    const std::optional<std::size_t> rest = place_of_rest(extents);
    if (rest && needs_rest(extents)) extents[*rest] = solved(extents, *rest);
    Integers target;
    for (std::size_t i = 0; i < extents.size(); ++i) target.push_back(entry(extents[i], i));
    // A file for one batch size often says 1 where the batch is meant.
    const bool lost = !batch_is_open && !target.empty() && target[0] > 0 && x_.rank() > 0 &&
                      larger_[0] != x_[0] && target[0] == x_[0];
    if (lost) target[0] = 0;
    require(std::ranges::count(target, -1) <= 1,
            "asks for the shape [{}], in which more than one "
            "extent follows the batch size",
            fmt::join(target, ", "));
    return target;
  }

 private:
  static std::optional<std::size_t> place_of_rest(const std::vector<Extent>& extents) {
    for (std::size_t i = 0; i < extents.size(); ++i)
      if (extents[i].fixed == -1 && !extents[i].follows()) return i;
    return std::nullopt;
  }

  /// True if an extent follows the batch size that is not simply kept: it must become the -1.
  bool needs_rest(const std::vector<Extent>& extents) const {
    for (std::size_t i = 0; i < extents.size(); ++i)
      if (extents[i].follows() && !is_kept(extents[i], i)) return true;
    return false;
  }

  std::int64_t at(const Extent& extent, std::size_t i, const Shape& x, std::int64_t batch) const {
    if (extent.fixed == 0 && !extent.follows()) return x[static_cast<std::int64_t>(i)];
    return extent.fixed + extent.per_batch * batch;
  }

  /// Computes the -1 for two batch sizes.
  Extent solved(const std::vector<Extent>& extents, std::size_t rest) const {
    const auto left = [&](const Shape& x, std::int64_t batch) {
      std::int64_t known = 1;
      for (std::size_t i = 0; i < extents.size(); ++i)
        if (i != rest) {
          const std::int64_t extent = at(extents[i], i, x, batch);
          require(extent > 0 && known <= kMaxExtent / extent, "asks for an extent of {}", extent);
          known *= extent;
        }
      require(x.numel() % known == 0, "cannot make parts of {} of {}", known, x);
      return x.numel() / known;
    };
    const std::int64_t one = left(x_, batch_), two = left(larger_, batch_ + 1);
    return {one - (two - one) * batch_, two - one};
  }

  bool is_kept(const Extent& extent, std::size_t i) const {
    const auto axis = static_cast<std::int64_t>(i);
    return axis < x_.rank() && at(extent, i, x_, batch_) == x_[axis] &&
           at(extent, i, larger_, batch_ + 1) == larger_[axis];
  }

  std::int64_t entry(const Extent& extent, std::size_t i) const {
    if (!extent.follows()) return extent.fixed;
    return is_kept(extent, i) ? 0 : -1;
  }

  const Shape x_, larger_;
  std::int64_t batch_;
};

/// Returns what a Reshape asks for; zeros of `allowzero` are refused.
std::vector<Extent> wanted_extents(const NodeReader& node, const Constant& shape) {
  require(shape.is_integer(), "needs a shape of integers");
  require(shape.integers.size() <= kMaxRank, "makes {} axes", shape.integers.size());
  std::vector<Extent> extents;
  for (std::size_t i = 0; i < shape.integers.size(); ++i) {
    const std::int64_t per_batch = shape.per_batch.empty() ? 0 : shape.per_batch[i];
    extents.push_back({shape.integers[i], per_batch});
    require(std::abs(shape.integers[i]) <= kMaxExtent && std::abs(per_batch) <= kMaxExtent,
            "asks for an extent of {}", shape.integers[i]);
    require(shape.integers[i] != 0 || per_batch != 0 || node.integer("allowzero", 0) == 0,
            "asks for an extent of 0");
  }
  return extents;
}

void read_reshape(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::vector<Extent> wanted = wanted_extents(node, *importer.constant(node.input(1)));
  node.ignore("allowzero");
  const ReshapeTarget target(x.shape(), importer.larger_batch(x), importer.batch());
  importer.add(node, make_op("Reshape", {{"shape", target.of(wanted, importer.batch_is_open())}}),
               {&x});
}

void write_reshape(Export& to) {
  to.attribute_to_input("shape");
  to.write();
}

}  // namespace

std::vector<OnnxRule> reshape_rules() {
  return {
      {.type = "Reshape", .read = read_reshape, .write = write_reshape, .moves_codes = true},
  };
}

}  // namespace rung::io::onnx_ops
