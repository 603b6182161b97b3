// Operators that move elements or read them with another shape.

#include <algorithm>
#include <optional>

#include "io/files/names.h"
#include "io/onnx/import/convert.h"
#include "io/onnx/import/make_op.h"

namespace rung::io::onnx_import {
namespace {

using Ints = std::vector<std::int64_t>;

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

  Ints of(std::vector<Extent> extents, bool batch_is_open) const {
    const std::optional<std::size_t> rest = place_of_rest(extents);
    if (rest && needs_rest(extents)) extents[*rest] = solved(extents, *rest);
    Ints target;
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

}  // namespace

void convert_reshape(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::vector<Extent> wanted = wanted_extents(node, *importer.constant(node.input(1)));
  node.ignore("allowzero");
  const ReshapeTarget target(x.shape(), importer.larger_batch(x), importer.batch());
  importer.add(node, make_op("Reshape", {{"shape", target.of(wanted, importer.batch_is_open())}}),
               {&x});
}

void convert_flatten(Importer& importer, const NodeReader& node) {
  importer.add(node, make_op("Flatten", {{"axis", node.integer("axis", 1)}}),
               {&importer.value(node.input(0))});
}

void convert_transpose(Importer& importer, const NodeReader& node) {
  importer.add(node, make_op("Transpose", {{"perm", node.integers("perm")}}),
               {&importer.value(node.input(0))});
}

void convert_squeeze(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  Ints axes = axes_of(node, node.has_input(1) ? importer.constant(node.input(1)) : nullptr, 13);
  const Shape* larger = importer.larger_batch(x);
  if (axes.empty())  // all of extent 1, but not the batch
    for (std::int64_t i = 0; i < x.shape().rank(); ++i)
      if (x.shape()[i] == 1 && (larger == nullptr || (*larger)[i] == 1)) axes.push_back(i);
  importer.add(node, make_op("Squeeze", {{"axes", axes}}), {&x});
}

void convert_unsqueeze(Importer& importer, const NodeReader& node) {
  const Ints axes =
      axes_of(node, node.has_input(1) ? importer.constant(node.input(1)) : nullptr, 13);
  importer.add(node, make_op("Unsqueeze", {{"axes", axes}}), {&importer.value(node.input(0))});
}

/// A constant of one image beside a batch of any size is repeated for each of its images.
void convert_concat(Importer& importer, const NodeReader& node) {
  std::vector<Value*> inputs;
  for (std::size_t i = 0; i < node.input_count(); ++i)
    inputs.push_back(&importer.value(node.input(i)));
  require(!inputs.empty() && node.has("axis"), "needs inputs and an axis");
  const std::int64_t rank = inputs[0]->shape().rank();
  const std::int64_t axis = front_axis(node.integer("axis", 0), rank);
  const auto batch = std::ranges::find_if(inputs, [&](const Value* value) {
    const Shape* larger = importer.larger_batch(*value);
    return larger != nullptr && larger->rank() > 0 && (*larger)[0] != value->shape()[0];
  });
  if (importer.batch_is_open() && axis > 0 && batch != inputs.end()) {
    Value& images = **batch;
    Ints shape(static_cast<std::size_t>(rank), 1);
    shape[0] = 0;  // the batch size
    for (Value*& input : inputs)
      if (input->parameter() != nullptr && input->shape().rank() == rank && input->shape()[0] == 1)
        input = &importer.add_step(node, "repeated", make_op("Expand", {{"shape", shape}}),
                                   {input, &images});
  }
  importer.add(node, make_op("Concat", {{"axis", axis}}), inputs);
}

/// Softmax and LogSoftmax.
void convert_softmax(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const bool flattens = node.opset() < 13;
  const std::int64_t rank = x.shape().rank();
  const std::int64_t axis = front_axis(node.integer("axis", flattens ? 1 : -1), rank);
  const bool rest_is_1 = std::ranges::all_of(
      x.shape().dims().subspan(static_cast<std::size_t>(axis) + 1), [](auto d) { return d == 1; });
  if (!flattens || rest_is_1) {
    importer.add(node, make_op(node.type(), {{"axis", axis}}), {&x});
    return;
  }
  // Before opset 13 everything from the axis on is one vector.
  Value& flat = importer.add_step(node, "flat", make_op("Flatten", {{"axis", axis}}), {&x});
  Value& y = importer.add_step(node, "softmax", make_op(node.type(), {{"axis", std::int64_t{1}}}),
                               {&flat});
  const Shape* larger = importer.larger_batch(x);
  Ints shape;
  for (std::int64_t i = 0; i < rank; ++i)
    shape.push_back(larger != nullptr && (*larger)[i] != x.shape()[i] ? -1 : x.shape()[i]);
  importer.add(node, make_op("Reshape", {{"shape", shape}}), {&y});
}

void convert_pad(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::string mode = node.text("mode", "constant");
  Ints pads;
  float value = 0.0f;
  if (node.opset() < 11) {
    pads = node.integers("pads");
    value = node.number("value", 0.0f);
  } else {
    pads = importer.constant(node.input(1))->whole_numbers();
    if (node.has_input(2)) value = static_cast<float>(importer.constant(node.input(2))->scalar());
  }
  if (node.has_input(3)) {  // pads of some axes only
    const Ints axes = importer.constant(node.input(3))->whole_numbers();
    require(pads.size() == 2 * axes.size(), "has {} pads for {} axes", pads.size(), axes.size());
    const auto rank = static_cast<std::size_t>(x.shape().rank());
    Ints all(2 * rank, 0);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const auto axis = static_cast<std::size_t>(front_axis(axes[i], x.shape().rank()));
      all[axis] = pads[i];
      all[axis + rank] = pads[i + axes.size()];
    }
    pads = all;
  }
  for (const std::int64_t each : pads)
    require(std::abs(each) <= kMaxExtent, "has a pad of {}", each);
  importer.add(node, make_op("Pad", {{"pads", pads}, {"mode", mode}, {"value", value}}), {&x});
}

}  // namespace rung::io::onnx_import
