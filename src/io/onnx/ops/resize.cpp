// Resize and Upsample.

#include <algorithm>
#include <array>
#include <cmath>

#include "io/files/names.h"
#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

struct Scaling {
  std::vector<float> scales;  ///< of all axes; empty: by sizes
  Integers sizes;
};

/// Completes lists that name some axes only.
template <typename T>
std::vector<T> for_all_axes(const std::vector<T>& some, const Integers& axes, std::vector<T> all) {
  if (axes.empty()) return some;
  require(some.size() == axes.size(), "has {} entries for {} axes", some.size(), axes.size());
  for (std::size_t i = 0; i < axes.size(); ++i)
    all[static_cast<std::size_t>(front_axis(axes[i], std::ssize(all)))] = some[i];
  return all;
}

void add_resize(Importer& importer, const NodeReader& node, Value& x, const Scaling& scaling,
                std::map<std::string, AttributeValue, std::less<>> attributes) {
  const auto rank = static_cast<std::size_t>(x.shape().rank());
  require(rank == 3 || rank == 4, "works on [N, C, L] or [N, C, H, W], got {}", x.shape());
  if (!scaling.sizes.empty()) {
    require(scaling.sizes.size() == rank, "needs {} sizes, got {}", rank, scaling.sizes.size());
    const Shape* larger = importer.larger_batch(x);
    require((scaling.sizes[0] == x.shape()[0] ||
             (larger != nullptr && scaling.sizes[0] == (*larger)[0])) &&
                scaling.sizes[1] == x.shape()[1],
            "resizes the batch or the channels, which is not imported");
    attributes["sizes"] = Integers{rank == 3 ? 1 : scaling.sizes[2], scaling.sizes.back()};
  } else {
    require(scaling.scales.size() == rank, "needs {} scales, got {}", rank, scaling.scales.size());
    require(scaling.scales[0] == 1.0f && scaling.scales[1] == 1.0f,
            "resizes the batch or the channels, which is not imported");
    attributes["scale_h"] = rank == 3 ? 1.0f : scaling.scales[2];
    attributes["scale_w"] = scaling.scales.back();
  }
  auto op = make_op("Resize", std::move(attributes));
  if (rank == 4) {
    importer.add(node, std::move(op), {&x});
    return;
  }
  // A line is an image of one row.
  const Integers row = {2};
  Value& image = importer.add_step(node, "2d", make_op("Unsqueeze", {{"axes", row}}), {&x});
  Value& resized = importer.add_step(node, "1d", std::move(op), {&image});
  importer.add(node, make_op("Squeeze", {{"axes", row}}), {&resized});
}

std::vector<float> floats_of(Importer& importer, const std::string& tensor) {
  const ConstantPtr constant = importer.constant(tensor);
  require(!constant->is_integer(), "needs scales of floats");
  return constant->floats;
}

/// Sizes may be those of another tensor, the batch size among them.
Integers sizes_of(Importer& importer, const std::string& tensor) {
  const ConstantPtr constant = importer.constant(tensor);
  require(constant->is_integer(), "needs sizes of integers");
  Integers sizes = constant->integers;
  if (!constant->per_batch.empty())
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      require(i == 0 || constant->per_batch[i] == 0, "has a size that depends on the batch size");
      sizes[i] += constant->per_batch[i] * importer.batch();
    }
  return sizes;
}

void read_resize(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::string mode = node.text("mode", "nearest");
  const bool cubic = mode == "cubic" && node.opset() >= 11;
  require(mode == "nearest" || mode == "linear" || cubic,
          "has the mode {}: nearest, linear and cubic are imported", shown_name(mode));
  std::map<std::string, AttributeValue, std::less<>> attributes = {{"mode", mode}};
  Scaling scaling;
  if (node.opset() < 11) {  // as Upsample
    scaling.scales = floats_of(importer, node.input(1));
    attributes["coordinate_transformation_mode"] = std::string("asymmetric");
    attributes["nearest_mode"] = std::string("floor");
    add_resize(importer, node, x, scaling, std::move(attributes));
    return;
  }
  attributes["coordinate_transformation_mode"] =
      node.text("coordinate_transformation_mode", "half_pixel");
  attributes["nearest_mode"] = node.text("nearest_mode", "round_prefer_floor");
  for (const char* unused : {"cubic_coeff_a", "exclude_outside", "extrapolation_value"})
    node.ignore(unused);
  if (cubic) {
    attributes["cubic_coeff_a"] = node.number("cubic_coeff_a", -0.75f);
    attributes["exclude_outside"] = node.integer("exclude_outside", 0) != 0;
  }
  require(node.integer("antialias", 0) == 0, "has antialias, which is not imported");
  const Integers axes = node.integers("axes");
  const auto rank = static_cast<std::size_t>(x.shape().rank());
  if (node.has_input(2)) {
    const std::vector<float> given = floats_of(importer, node.input(2));
    if (!given.empty()) scaling.scales = for_all_axes(given, axes, std::vector<float>(rank, 1.0f));
  }
  if (scaling.scales.empty()) {
    const auto dims = x.shape().dims();
    require(node.text("keep_aspect_ratio_policy", "stretch") == "stretch",
            "keeps the aspect ratio, which is not imported");
    scaling.sizes =
        for_all_axes(sizes_of(importer, node.input(3)), axes, Integers(dims.begin(), dims.end()));
  }
  node.ignore("keep_aspect_ratio_policy");
  add_resize(importer, node, x, scaling, std::move(attributes));
}

void read_upsample(Importer& importer, const NodeReader& node) {
  require(node.opset() < 10, "does not exist from opset 10 on: it is Resize");
  Value& x = importer.value(node.input(0));
  const std::string mode = node.text("mode", "nearest");
  require(mode == "nearest" || mode == "linear", "has the mode {}: nearest and linear are imported",
          shown_name(mode));
  Scaling scaling;
  scaling.scales = node.has_input(1) ? floats_of(importer, node.input(1)) : node.numbers("scales");
  add_resize(importer, node, x, scaling,
             {{"mode", mode},
              {"coordinate_transformation_mode", std::string("asymmetric")},
              {"nearest_mode", std::string("floor")}});
}

/// Adds nodes that compute the sizes [N, C, H, W] of a Resize for any N, and returns the result's
/// name.
std::string write_sizes(Export& to, const Integers& sizes) {
  const std::string shape = to.name_of("shape"), front = to.name_of("front"),
                    pixels = to.name_of("pixels"), all = to.name_of("sizes");
  const std::string begin = to.name_of("begin"), end = to.name_of("end");
  to.writer.integers(begin, Integers{0});
  to.writer.integers(end, Integers{2});
  to.writer.integers(pixels, sizes);
  to.writer.node("Shape", shape, {to.inputs[0]}, {shape});
  to.writer.node("Slice", front, {shape, begin, end}, {front});
  set_attribute(to.writer.node("Concat", all, {front, pixels}, {all}), "axis", std::int64_t{0});
  return all;
}

/// ONNX has scales or sizes of all four axes.
void write_resize(Export& to) {
  const auto h = to.attributes.take<float>("scale_h"), w = to.attributes.take<float>("scale_w");
  const auto sizes = to.attributes.take<Integers>("sizes");
  to.inputs.emplace_back();  // roi
  if (sizes.empty()) {
    const std::array<float, 4> scales = {1.0f, 1.0f, h, w};
    to.inputs.push_back(to.name_of("scales"));
    to.writer.floats(to.inputs.back(), {4}, scales);
  } else {
    to.inputs.emplace_back();
    to.inputs.push_back(write_sizes(to, sizes));
  }
  to.write();
}

}  // namespace

std::vector<OnnxRule> resize_rules() {
  return {
      {.type = "Resize", .read = read_resize, .write = write_resize},
      {.type = "Upsample", .read = read_upsample},
  };
}

}  // namespace rung::io::onnx_ops
