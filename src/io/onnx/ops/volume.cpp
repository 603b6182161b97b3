#include "io/onnx/ops/volume.h"

#include <algorithm>

#include "io/onnx/import/make_op.h"
#include "io/onnx/import/windows.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

/// Returns the entries for H and W of a list with one for each axis, or one for each side of it.
Integers of_image(const Integers& list) {
  if (list.size() == 3) return {list[1], list[2]};
  return {list[1], list[2], list[4], list[5]};
}

/// Lays windows of KD neighbours in depth behind each other: [N, C, D, H, W] -> [N, C, OD, KD, H,
/// W].
Value& unfold_depth(Importer& importer, const NodeReader& node, Value& x, const WindowLists& w) {
  Value* padded = &x;
  if (w.pads[0] != 0 || w.pads[3] != 0)
    padded = &importer.add_step(
        node, "deep",
        make_op("Pad", {{"pads", Integers{0, 0, w.pads[0], 0, 0, 0, 0, w.pads[3], 0, 0}}}), {&x});
  const std::int64_t reach = (w.kernel[0] - 1) * w.dilations[0] + 1;
  const std::int64_t depth = padded->shape()[2];
  require(depth >= reach, "the kernel reaches over {} images, the padded volume has {}", reach,
          depth);
  const std::int64_t results = (depth - reach) / w.strides[0] + 1;
  constexpr std::int64_t kMost = 1 << 20;
  require(results <= kMost / w.kernel[0], "has {} windows of {} in depth", results, w.kernel[0]);
  Integers indices;
  for (std::int64_t i = 0; i < results; ++i)
    for (std::int64_t k = 0; k < w.kernel[0]; ++k)
      indices.push_back(i * w.strides[0] + k * w.dilations[0]);
  return importer.add_step(node, "unfolded",
                           make_op("Gather", {{"axis", std::int64_t{2}},
                                              {"indices", indices},
                                              {"indices_shape", Integers{results, w.kernel[0]}}}),
                           {padded});
}

/// The weight [O, C / groups, KD, KH, KW] is one of [O, C / groups * KD, KH, KW].
Value& flat_weight(Importer& importer, const NodeReader& node, const Shape& shape) {
  const Shape flat{shape[0], shape[1] * shape[2], shape[3], shape[4]};
  const std::string& name = node.input(1);
  if (importer.is_constant(name))
    return importer.parameter(name, Role::weight, "flat",
                              [&](const Tensor& weight) { return weight.reshape(flat); });
  return importer.add_step(
      node, "weight",
      make_op("Reshape", {{"shape", Integers(flat.dims().begin(), flat.dims().end())}}),
      {&importer.value(name)});
}

}  // namespace

void read_volume_conv(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::string& name = node.input(1);
  const Shape weight =
      importer.is_constant(name) ? importer.constant(name)->shape : importer.value(name).shape();
  require(weight.rank() == 5, "x is {}, but the weight {}", x.shape(), weight);
  const WindowLists w = read_window_lists(node, x.shape(), {weight[2], weight[3], weight[4]});
  const Shape volume = x.shape();
  Value& unfolded = unfold_depth(importer, node, x, w);
  const std::int64_t results = unfolded.shape()[2];
  Value& moved = importer.add_step(
      node, "moved", make_op("Transpose", {{"perm", Integers{0, 2, 1, 3, 4, 5}}}), {&unfolded});
  const Integers image = {-1, volume[1] * w.kernel[0], volume[3], volume[4]};
  Value& images =
      importer.add_step(node, "images", make_op("Reshape", {{"shape", image}}), {&moved});
  const Integers sides = of_image(w.pads);
  Value* padded = &images;
  const bool symmetric = sides[0] == sides[2] && sides[1] == sides[3];
  if (!symmetric)
    padded = &importer.add_step(
        node, "pad",
        make_op("Pad", {{"pads", Integers{0, 0, sides[0], sides[1], 0, 0, sides[2], sides[3]}}}),
        {&images});
  std::vector<Value*> inputs = {padded, &flat_weight(importer, node, weight)};
  if (node.has_input(2)) inputs.push_back(&importer.parameter(node.input(2), Role::bias));
  Value& y = importer.add_step(node, "conv",
                               make_op("Conv", {{"strides", of_image(w.strides)},
                                                {"pads", symmetric ? sides : Integers{0, 0, 0, 0}},
                                                {"dilations", of_image(w.dilations)},
                                                {"group", node.integer("group", 1)}}),
                               inputs);
  const Integers deep = {-1, results, y.shape()[1], y.shape()[2], y.shape()[3]};
  Value& volumes = importer.add_step(node, "volumes", make_op("Reshape", {{"shape", deep}}), {&y});
  importer.add(node, make_op("Transpose", {{"perm", Integers{0, 2, 1, 3, 4}}}), {&volumes});
}

void read_volume_pool(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const Shape volume = x.shape();
  const WindowLists w = read_window_lists(node, volume, {});
  const auto pool = [&](const Integers& kernel, const Integers& strides, const Integers& pads,
                        const Integers& dilations) {
    std::map<std::string, AttributeValue, std::less<>> attributes = {
        {"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}};
    if (std::ranges::any_of(dilations, [](std::int64_t each) { return each != 1; }))
      attributes["dilations"] = dilations;
    if (node.integer("ceil_mode", 0) != 0) attributes["ceil_mode"] = true;
    if (node.type() == "AveragePool")
      attributes["count_include_pad"] = node.integer("count_include_pad", 0) != 0;
    return make_op(node.type(), std::move(attributes));
  };
  const auto reshaped = [&](const char* suffix, Value& from, const Integers& shape) -> Value& {
    return importer.add_step(node, suffix, make_op("Reshape", {{"shape", shape}}), {&from});
  };
  Value& images = reshaped("images", x, {0, volume[1] * volume[2], volume[3], volume[4]});
  Value& planes = importer.add_step(
      node, "planes",
      pool(of_image(w.kernel), of_image(w.strides), of_image(w.pads), of_image(w.dilations)),
      {&images});
  const std::int64_t h = planes.shape()[2], width = planes.shape()[3];
  Value& columns = reshaped("columns", planes, {0, volume[1], volume[2], h * width});
  Value& y = importer.add_step(
      node, "depths",
      pool({w.kernel[0], 1}, {w.strides[0], 1}, {w.pads[0], 0, w.pads[3], 0}, {w.dilations[0], 1}),
      {&columns});
  importer.add(
      node, make_op("Reshape", {{"shape", Integers{0, volume[1], y.shape()[2], h, width}}}), {&y});
}

}  // namespace rung::io::onnx_ops
