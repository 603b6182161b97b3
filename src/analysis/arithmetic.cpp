#include "analysis/arithmetic.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "graph/layer.h"
#include "ops/quantize/value_quantizer.h"
#include "rung/core/parallel.h"
#include "rung/ops/quantizer_handle.h"
#include "rung/quant/fake_quantize.h"

namespace rung::analysis {

std::int64_t macs_of(const Node& node, const Shape& input, const Shape& output) {
  if (node.type() == "MatMul") return input.rank() == 0 ? 0 : output.numel() * input[-1];
  if (!is_layer(node)) return 0;
  const std::int64_t weights = weight_value(node).shape().numel();
  const auto places = [](const Shape& shape) {  // numbers of one channel
    return shape.rank() < 2 || shape[1] == 0 ? 0 : shape.numel() / shape[1];
  };
  if (node.type() == "Conv" || node.type() == "Gemm") return weights * places(output);
  if (node.type() == "ConvTranspose") return weights * places(input);
  return 0;
}

namespace {

/// Returns the quantizer whose codes the numbers of a value are, if they are codes.
std::optional<QuantizerHandle> codes_of(const Value& value) {
  Node* node = grid_quantizer(value);
  if (node == nullptr) return std::nullopt;
  const QuantizerHandle quantizer(*node);
  if (!quantizer.initialized() || !quantizer.op().quantizer().runs_fused()) return std::nullopt;
  const Encoding encoding = quantizer.encoding();
  if (encoding.is_float() || encoding.blocks) return std::nullopt;
  return quantizer;
}

/// The whole numbers that a code can stand for: (code + offset).
struct Span {
  double lowest, highest;
};

/// Returns the largest magnitude that a sum over one output channel can have, for each.
std::vector<double> largest_sums(const ConstTensor& weight, const Encoding& encoding,
                                 std::int64_t axis, const Span& x) {
  const std::vector<std::int32_t> codes = quantize(weight.data(), weight.shape(), encoding);
  std::int64_t inner = 1;
  for (std::int64_t i = axis + 1; i < weight.rank(); ++i) inner *= weight.size(i);
  const std::int64_t channels = weight.size(axis);
  std::vector<double> up(static_cast<std::size_t>(channels), 0.0), down = up;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto c = static_cast<std::size_t>(static_cast<std::int64_t>(i) / inner % channels);
    const std::int64_t offset = encoding.offset[encoding.channels() == 1 ? 0 : c];
    const auto w = static_cast<double>(codes[i] + offset);
    up[c] += std::max(w * x.highest, w * x.lowest);
    down[c] += std::min(w * x.highest, w * x.lowest);
  }
  for (std::size_t c = 0; c < up.size(); ++c) up[c] = std::max(up[c], -down[c]);
  return up;
}

int bits_for(double magnitude) {
  return 1 + static_cast<int>(std::ceil(std::log2(std::floor(magnitude) + 1.0)));
}

}  // namespace

std::optional<Sums> Sums::of(const Node& layer) {
  if (!is_layer(layer)) return std::nullopt;
  const auto x = codes_of(*layer.inputs()[0]), w = codes_of(weight_value(layer));
  if (!x || !w) return std::nullopt;
  const Value& weight = w->source();
  const std::int64_t axis = layer.op().traits().weighted->output_axis;
  const Encoding xs = x->encoding(), ws = w->encoding();
  if (weight.parameter() == nullptr || xs.channels() != 1 || axis < 0 ||
      ws.axis.value_or(axis) != axis)
    return std::nullopt;
  const Span span{static_cast<double>(xs.grid.qmin + xs.offset[0]),
                  static_cast<double>(xs.grid.qmax + xs.offset[0])};
  Sums sums;
  for (const float scale : ws.scale) sums.scales_.push_back(double{scale} * xs.scale[0]);
  std::vector<double> largest = largest_sums(weight.parameter()->value(), ws, axis, span);
  const Value* bias = bias_value(layer);
  if (bias != nullptr && bias->parameter() != nullptr) {
    const auto data = bias->parameter()->value().data();
    for (std::size_t c = 0; c < std::min(data.size(), largest.size()); ++c)
      largest[c] += std::abs(data[c] / sums.scales_[sums.scales_.size() == 1 ? 0 : c]);
  }
  sums.worst_case_ = *std::ranges::max_element(largest);
  return sums;
}

void Sums::observe(const ConstTensor& output) {
  if (output.rank() < 2 || output.numel() == 0) return;
  const std::int64_t images = output.size(0), channels = output.size(1);
  if (scales_.size() != 1 && std::ssize(scales_) != channels) return;
  const std::int64_t inner = output.numel() / (images * channels);
  std::vector<double> largest(static_cast<std::size_t>(channels), 0.0);
  parallel_for(channels, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c)
      for (std::int64_t n = 0; n < images; ++n)
        for (const float y :
             output.data().subspan(static_cast<std::size_t>((n * channels + c) * inner),
                                   static_cast<std::size_t>(inner)))
          largest[static_cast<std::size_t>(c)] =
              std::max<double>(largest[static_cast<std::size_t>(c)], std::abs(y));
  });
  for (std::size_t c = 0; c < largest.size(); ++c)
    observed_ =
        std::max(observed_, std::nearbyint(largest[c] / scales_[scales_.size() == 1 ? 0 : c]));
}

Accumulator Sums::result() const { return {bits_for(worst_case_), bits_for(observed_)}; }

std::map<std::string, double> measure_seconds(Graph& network, std::span<const Tensor> inputs) {
  Executor executor(network, {.profile = true});
  for (int run = 0; run < kTimedRuns; ++run) (void)executor.forward(inputs);
  std::map<std::string, double> seconds;
  for (const StepProfile& step : profile(executor.plan()))  // "conv1 + relu1"
    seconds[step.name.substr(0, step.name.find(" + "))] += step.seconds;
  return seconds;
}

}  // namespace rung::analysis
