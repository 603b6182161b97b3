// Pools.

#include <algorithm>

#include "io/onnx/import/make_op.h"
#include "io/onnx/import/windows.h"
#include "io/onnx/ops/rule.h"
#include "io/onnx/ops/volume.h"

namespace rung::io::onnx_ops {
namespace {

void read_pool(Importer& importer, const NodeReader& node) {
  require(!node.has_output(1), "writes the places of the maxima, which is not imported");
  require(node.integer("storage_order", 0) == 0, "has a storage_order other than 0");
  if (importer.value(node.input(0)).shape().rank() == 5) return read_volume_pool(importer, node);
  Value& x = importer.value(node.input(0));
  const Windows windows = read_windows(node, x.shape(), {});
  std::map<std::string, AttributeValue, std::less<>> attributes = {
      {"kernel_shape", windows.list(windows.kernel)},
      {"strides", windows.list(windows.strides)},
      {"pads", windows.list(windows.pads)}};
  if (windows.dilations != std::array<std::int64_t, 2>{1, 1})
    attributes["dilations"] = windows.list(windows.dilations);
  if (node.integer("ceil_mode", 0) != 0) attributes["ceil_mode"] = true;
  if (node.type() == "AveragePool")
    attributes["count_include_pad"] = node.integer("count_include_pad", 0) != 0;
  importer.add(node, make_op(node.type(), std::move(attributes)), {&x});
}

void read_global_max_pool(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const Shape& shape = x.shape();
  if (shape.rank() > 4) {
    Integers axes;
    for (std::int64_t i = 2; i < shape.rank(); ++i) axes.push_back(i);
    importer.add(node, make_op("ReduceMax", {{"axes", axes}, {"keepdims", true}}), {&x});
    return;
  }
  require(shape.rank() == 3 || shape.rank() == 4, "works on [N, C, L] or [N, C, H, W] here, got {}",
          shape);
  const Integers kernel(shape.dims().begin() + 2, shape.dims().end());
  importer.add(node, make_op("MaxPool", {{"kernel_shape", kernel}}), {&x});
}

}  // namespace

std::vector<OnnxRule> pool_rules() {
  return {
      {.type = "AveragePool", .read = read_pool, .write = write_plain},
      {.type = "GlobalAveragePool", .read = read_unary, .write = write_plain},
      {.type = "GlobalMaxPool", .read = read_global_max_pool, .moves_codes = true},
      {.type = "MaxPool", .read = read_pool, .write = write_plain, .moves_codes = true},
  };
}

}  // namespace rung::io::onnx_ops
