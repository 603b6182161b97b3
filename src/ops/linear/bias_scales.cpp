#include "ops/linear/bias_scales.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/layer.h"
#include "ops/quantize/constant_product.h"
#include "ops/quantize/value_quantizer.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/quantizer_handle.h"

namespace rung {

namespace {

/// Returns the op that makes a value's numbers, before those that only move them; or nullptr.
const Node* computing_op(const Value& value) {
  const Node* op = value.producer();
  while (op != nullptr &&
         (op->as<QuantizeDequantize>() != nullptr || op->op().traits().grid_preserving()))
    op = op->inputs()[0]->producer();
  return op;
}

/// Returns the encoding that the numbers of a value have, scaled where they are products with
/// constants; none if they have no grid.
std::optional<Encoding> encoding_of(const Value& value, const Observers* observers) {
  double factor = 1;
  const Value* at = &value;
  Node* quantizer = nullptr;
  while ((quantizer = grid_quantizer(*at)) == nullptr) {
    const Node* op = computing_op(*at);
    const auto product = op == nullptr ? std::nullopt : constant_product(*op);
    if (!product) return std::nullopt;
    factor *= product->factor;
    at = op->inputs()[product->input];
  }
  const auto& op = *quantizer->as<QuantizeDequantize>();
  const bool passes = observers != nullptr && observers->contains(op);
  if (passes || !op.initialized()) return std::nullopt;
  Encoding encoding = QuantizerHandle(*quantizer).encoding();
  for (float& scale : encoding.scale) scale = static_cast<float>(scale * factor);
  return encoding;
}

/// Returns one scale per output channel, or one in all; of blocks the largest, of grouped blocks
/// the float scale that they share. Empty if the weight has its scales along another axis.
std::vector<float> weight_scales(const Encoding& weight, const Node& node, std::int64_t channels) {
  const Granularity cut = weight.granularity();
  if (!cut.axis) return weight.scale;
  if (*cut.axis != node.op().traits().weighted->output_axis || cut.channels != channels) return {};
  if (!cut.blocks) return weight.scale;
  if (weight.grouped &&
      weight.grouped->per_channel_scale.size() == static_cast<std::size_t>(channels))
    return weight.grouped->per_channel_scale;
  std::vector<float> largest(static_cast<std::size_t>(channels), 0.0f);
  const auto blocks = static_cast<std::size_t>(cut.blocks->count);
  for (std::size_t i = 0; i < weight.scale.size(); ++i) {
    float& scale =
        largest[*cut.axis < cut.blocks->axis ? i / blocks : i % static_cast<std::size_t>(channels)];
    scale = std::max(scale, weight.scale[i]);
  }
  return largest;
}

}  // namespace

std::vector<float> bias_scales(const Node& node, const Observers* observers) {
  const Value* bias = bias_value(node);  // if it has a quantizer, its output
  if (bias == nullptr) return {};
  if (bias->parameter() == nullptr && bias->producer()->as<FoldedBias>() == nullptr) return {};
  const auto x = encoding_of(*node.inputs()[0], observers);
  const auto weight = encoding_of(weight_value(node), observers);
  if (!x || !weight || x->is_float() || weight->is_float() || x->channels() != 1) return {};
  std::vector<float> scales = weight_scales(*weight, node, bias->shape().numel());
  for (float& scale : scales) scale *= x->scale[0];
  return scales;
}

std::optional<std::int32_t> bias_code(float value, float scale) {
  const double code = std::nearbyint(double{value} / double{scale});
  if (!(std::abs(code) <= std::numeric_limits<std::int32_t>::max())) return std::nullopt;
  return static_cast<std::int32_t>(code);
}

void round_bias(const Node& node, std::span<float> bias, const Observers* observers) {
  const std::vector<float> scales = bias_scales(node, observers);
  if (scales.empty()) return;
  for (std::size_t c = 0; c < bias.size(); ++c) {
    const float scale = scales[scales.size() == 1 ? 0 : c];
    if (const auto code = bias_code(bias[c], scale)) bias[c] = static_cast<float>(*code) * scale;
  }
}

}  // namespace rung
