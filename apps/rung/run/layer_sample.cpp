#include "run/layer_sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "run/json_text.h"
#include "rung/core/error.h"
#include "rung/exec/executor.h"
#include "rung/ops/ops.h"

namespace rung::cli {
namespace {

constexpr std::int64_t kMostNumbers = 12'000;  // of a tensor: a page must open at once

bool can_show(const Node& node) {
  const auto* conv = node.as<Conv>();
  const bool is_kind = (conv != nullptr && conv->axes == 2) || node.as<Gemm>() != nullptr;
  return is_kind && node.inputs()[1]->parameter() != nullptr;
}

std::string tensor_json(const Shape& shape, std::span<const float> values) {
  return fmt::format("{{\"shape\":{},\"values\":{}}}", json_numbers(shape.dims()),
                     json_numbers(values));
}

/// Cuts the middle out of the pictures, so small that those of one image fit, and takes the first
/// images that fit.
std::string input_json(const Tensor& x) {
  if (x.rank() != 4) {
    const std::int64_t images = std::clamp<std::int64_t>(kMostNumbers / x.size(1), 1, x.size(0));
    const Tensor some = x.slice(0, images);
    return tensor_json(some.shape(), some.data());
  }
  const std::int64_t channels = x.size(1);
  std::int64_t height = x.size(2), width = x.size(3);
  while (channels * height * width > kMostNumbers && std::max(height, width) > 1)
    (height >= width ? height : width) -= 1;
  const std::int64_t top = (x.size(2) - height) / 2, left = (x.size(3) - width) / 2;
  const std::int64_t each = channels * height * width;
  const std::int64_t images = std::clamp<std::int64_t>(kMostNumbers / each, 1, x.size(0));
  std::vector<float> values;
  for (std::int64_t n = 0; n < images; ++n)
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t row = 0; row < height; ++row) {
        const std::int64_t first = ((n * channels + c) * x.size(2) + top + row) * x.size(3) + left;
        const auto numbers =
            x.data().subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(width));
        values.insert(values.end(), numbers.begin(), numbers.end());
      }
  return tensor_json(Shape{images, channels, height, width}, values);
}

std::string layer_json(const Node& node, const Tensor& input) {
  const ConstTensor& weight = node.inputs()[1]->parameter()->value();
  const std::int64_t each = std::max<std::int64_t>(1, weight.numel() / weight.size(0));
  const ConstTensor some =
      weight.slice(0, std::clamp<std::int64_t>(kMostNumbers / each, 1, weight.size(0)));
  std::array<std::int64_t, 2> stride = {1, 1}, dilation = {1, 1};
  std::int64_t groups = 1;
  if (const auto* conv = node.as<Conv>()) {
    stride = {conv->stride_h, conv->stride_w};
    dilation = {conv->dilation_h, conv->dilation_w};
    groups = conv->groups;
  }
  return fmt::format(
      "{{\"name\":{},\"op\":{},\"stride\":{},\"dilation\":{},\"per_group\":{},\n\"weight\":{},\n"
      "\"input\":{}}}",
      json_string(node.name()), json_string(node.type()), json_numbers(stride),
      json_numbers(dilation), weight.size(0) / groups, tensor_json(some.shape(), some.data()),
      input_json(input));
}

}  // namespace

std::vector<const Node*> layers_to_show(const Graph& graph, const std::vector<std::string>& names) {
  std::vector<const Node*> layers;
  for (const std::string& name : names) {
    const Node& node = graph.node(name);
    if (!can_show(node))
      throw Error(
          fmt::format("{} is a {} that cannot be shown; expected a Conv of two axes or a "
                      "Gemm with a weight of its own",
                      name, node.type()));
    layers.push_back(&node);
  }
  if (!layers.empty()) return layers;
  std::vector<const Node*> all;
  for (const Node* node : graph.nodes())
    if (can_show(*node)) all.push_back(node);
  if (all.empty()) throw Error("the model has no Conv or Gemm to show");
  for (const std::size_t i : {std::size_t{0}, all.size() / 2, all.size() - 1})
    if (layers.empty() || layers.back() != all[i]) layers.push_back(all[i]);
  return layers;
}

std::string sample_layers(Graph& graph, const std::vector<const Node*>& layers,
                          const Tensor& images) {
  std::vector<std::string> inputs;
  for (const Node* layer : layers) inputs.push_back(layer->inputs()[0]->name());
  Executor executor(graph);
  executor.watch(inputs);
  executor.forward(images);
  std::string text = "[";
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (i > 0) text += ",\n";
    text += layer_json(*layers[i], executor.value(inputs[i]));
  }
  return text + "]";
}

}  // namespace rung::cli
