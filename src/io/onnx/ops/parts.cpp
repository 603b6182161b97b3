// Operators that take tensors apart: Slice, Split, DepthToSpace, SpaceToDepth. They are read as ops
// that there are, and written as those.

#include <algorithm>

#include "io/files/names.h"
#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

bool is_batch(const Importer& importer, const Value& x, std::int64_t axis) {
  const Shape* larger = importer.larger_batch(x);
  return larger != nullptr && (*larger)[axis] != x.shape()[axis];
}

/// Returns the pads that leave `count` elements from `start` on: less than nothing is added.
void cut(Integers& pads, std::int64_t extent, const SlicedAxis& part) {
  const auto axis = static_cast<std::size_t>(part.axis);
  pads[axis] = -part.start;
  pads[axis + pads.size() / 2] = part.start + part.count - extent;
}

/// Throws Error if parts of this axis are parts of a batch whose size is open.
void check_parts(const Importer& importer, const Value& x, std::int64_t axis) {
  require(!importer.batch_is_open() || !is_batch(importer, x, axis),
          "takes a part of the batch, which is not imported");
}

/// Takes elements by their numbers: a part of a batch is the same whatever follows it.
std::unique_ptr<Op> gather_op(const SlicedAxis& part) {
  constexpr std::int64_t kMost = 1 << 20;
  require(part.count <= kMost, "takes {} parts of axis {}, up to {} are imported", part.count,
          part.axis, kMost);
  Integers indices;
  for (std::int64_t i = 0; i < part.count; ++i) indices.push_back(part.start + i * part.step);
  return make_op(
      "Gather",
      {{"axis", part.axis}, {"indices", indices}, {"indices_shape", Integers{part.count}}});
}

/// Reads x [N, C, H, W] as `shape`, moves the axes, and reads the result as `result`.
void add_moved(Importer& importer, const NodeReader& node, Value& x, const Integers& shape,
               const Integers& perm, const Integers& result) {
  Value& blocks = importer.add_step(node, "blocks", make_op("Reshape", {{"shape", shape}}), {&x});
  Value& moved =
      importer.add_step(node, "moved", make_op("Transpose", {{"perm", perm}}), {&blocks});
  importer.add(node, make_op("Reshape", {{"shape", result}}), {&moved});
}

/// Returns the size of a block; throws Error unless x is [N, C, H, W].
std::int64_t block_of(const NodeReader& node, const Shape& x) {
  const std::int64_t block = node.integer("blocksize", 0);
  require(x.rank() == 4, "works on [N, C, H, W], got {}", x);
  require(block > 0, "has a blocksize of {}", block);
  return block;
}

/// Taking a part of neighbours is padding with less than nothing, taking every other pixel is
/// pooling over windows of one; everything else is Gather.
void read_slice(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  std::vector<ConstantPtr> inputs(1);
  for (std::size_t i = 1; i < node.input_count(); ++i)
    inputs.push_back(node.has_input(i) ? importer.constant(node.input(i)) : nullptr);
  Integers strides = {1, 1};
  std::vector<SlicedAxis> gathered;
  Integers pads(2 * static_cast<std::size_t>(x.shape().rank()), 0);
  for (const SlicedAxis& each : sliced_axes(node, inputs, x.shape())) {
    const std::int64_t extent = x.shape()[each.axis];
    if (each.step == 1 && each.count == extent) continue;
    require(each.count > 0, "leaves nothing of axis {}", each.axis);
    check_parts(importer, x, each.axis);
    const bool is_pixels = x.shape().rank() == 4 && each.axis >= 2 && each.step > 0;
    if (is_batch(importer, x, each.axis) || (each.step != 1 && each.count > 1 && !is_pixels)) {
      gathered.push_back(each);
      continue;
    }
    SlicedAxis part = each;
    if (each.step != 1 && each.count > 1) {
      strides[static_cast<std::size_t>(each.axis - 2)] = each.step;
      part.count = (each.count - 1) * each.step + 1;
    }
    cut(pads, extent, part);
  }
  const bool strided = strides != Integers{1, 1};
  const bool cuts = std::ranges::any_of(pads, [](std::int64_t pad) { return pad != 0; });
  std::vector<std::unique_ptr<Op>> ops;
  for (const SlicedAxis& each : gathered) ops.push_back(gather_op(each));
  if (cuts || strided || ops.empty()) ops.push_back(make_op("Pad", {{"pads", pads}}));
  if (strided)
    ops.push_back(make_op("MaxPool", {{"kernel_shape", Integers{1, 1}}, {"strides", strides}}));
  Value* part = &x;
  for (std::size_t i = 0; i + 1 < ops.size(); ++i)
    part = &importer.add_step(node, "cut", std::move(ops[i]), {part});
  importer.add(node, std::move(ops.back()), {part});
}

void read_split(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  SlicedAxis part{.axis = front_axis(node.integer("axis", 0), x.shape().rank())};
  const std::int64_t extent = x.shape()[part.axis];
  const bool is_given = node.opset() >= 13 && node.has_input(1);
  const Integers sizes =
      split_sizes(node, is_given ? importer.constant(node.input(1)) : nullptr, extent);
  if (sizes.size() > 1) check_parts(importer, x, part.axis);
  for (std::size_t i = 0; i < sizes.size(); ++i, part.start += part.count) {
    part.count = sizes[i];
    if (node.proto().output(static_cast<int>(i)).empty()) continue;
    if (sizes.size() > 1 && is_batch(importer, x, part.axis)) {
      importer.add(node, gather_op(part), {&x}, i);
      continue;
    }
    Integers pads(2 * static_cast<std::size_t>(x.shape().rank()), 0);
    cut(pads, extent, part);
    importer.add(node, make_op("Pad", {{"pads", pads}}), {&x}, i);
  }
}

void read_depth_to_space(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const Shape& shape = x.shape();
  const std::int64_t b = block_of(node, shape);
  const std::string mode = node.text("mode", "DCR");
  require(mode == "DCR" || mode == "CRD", "has the mode {}: DCR and CRD are imported",
          shown_name(mode));
  require(shape[1] % (b * b) == 0, "cannot spread {} channels over blocks of {} x {} pixels",
          shape[1], b, b);
  const std::int64_t channels = shape[1] / (b * b), h = shape[2], w = shape[3];
  const Integers result = {0, channels, h * b, w * b};
  if (mode == "DCR")
    add_moved(importer, node, x, {0, b, b, channels, h, w}, {0, 3, 4, 1, 5, 2}, result);
  else  // as PyTorch's PixelShuffle
    add_moved(importer, node, x, {0, channels, b, b, h, w}, {0, 1, 4, 2, 5, 3}, result);
}

void read_space_to_depth(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const Shape& shape = x.shape();
  const std::int64_t b = block_of(node, shape);
  require(shape[2] % b == 0 && shape[3] % b == 0, "cannot cut {} into blocks of {} x {} pixels",
          shape, b, b);
  const std::int64_t channels = shape[1], h = shape[2] / b, w = shape[3] / b;
  add_moved(importer, node, x, {0, channels, h, b, w, b}, {0, 3, 5, 1, 2, 4},
            {0, channels * b * b, h, w});
}

}  // namespace

std::vector<OnnxRule> part_rules() {
  return {
      {.type = "DepthToSpace", .read = read_depth_to_space, .moves_codes = true},
      {.type = "Slice", .read = read_slice, .moves_codes = true},
      {.type = "SpaceToDepth", .read = read_space_to_depth, .moves_codes = true},
      {.type = "Split", .read = read_split, .moves_codes = true},
  };
}

}  // namespace rung::io::onnx_ops
