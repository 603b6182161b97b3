#include "quantsim/bias_room.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "core/check.h"
#include "graph/layer.h"
#include "ops/linear/bias_scales.h"
#include "quantsim/batch_norms/batch_norm_fold.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::quantsim {

namespace {

constexpr float kSteps = 1 << 30;  // that a bias may have

/// Returns the working quantizer that a layer's weight comes through; bias_scales() found one.
Node& weight_quantizer(const Node& layer) {
  Node* node = weight_value(layer).producer();
  for (;; node = node->inputs()[0]->producer()) {
    const auto* op = node->as<QuantizeDequantize>();
    if (op != nullptr && op->works()) return *node;
  }
}

/// Returns by how much the scale of each channel must grow, at least 1; one number if all share it.
std::vector<float> growth(const ConstTensor& bias, const std::vector<float>& scales) {
  std::vector<float> factors(scales.size(), 1.0f);
  const auto values = bias.data();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t c = scales.size() == 1 ? 0 : i;
    const float factor = std::abs(values[i]) / scales[c] / kSteps;
    if (std::isfinite(factor)) factors[c] = std::max(factors[c], factor);
  }
  return factors;
}

/// Sets the ranges of some channels; those of the others stay to the last bit.
template <typename Chosen>
void set_ranges_where(QuantizerHandle& weight, std::span<const Range> ranges,
                      const Chosen& chosen) {
  const std::vector<Parameter*> parameters = weight.parameters();
  std::vector<Tensor> before;
  for (const Parameter* parameter : parameters) before.push_back(parameter->value().clone());
  weight.set_ranges(ranges);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    for (std::size_t c = 0; c < ranges.size() && c < before[i].data().size(); ++c)
      if (!chosen(c)) parameters[i]->edit().data()[c] = before[i].data()[c];
}

}  // namespace

std::vector<std::string> make_room_for_biases(Graph& graph, Frozen frozen) {
  std::vector<std::string> notes;
  for (Node* layer : graph.nodes()) {
    const std::vector<float> scales = bias_scales(*layer);
    if (scales.empty()) continue;
    const Value& bias = *bias_value(*layer);
    const std::vector<float> factors = growth(parameter_numbers(bias), scales);
    const auto grows = [](float factor) { return factor > 1.0f; };
    const auto first = std::ranges::find_if(factors, grows);
    if (first == factors.end()) continue;
    QuantizerHandle weight(weight_quantizer(*layer));
    std::vector<Range> ranges = weight.ranges();
    if (ranges.size() != factors.size() || (weight.frozen() && frozen == Frozen::kept)) continue;
    const bool was_frozen = weight.frozen();
    if (was_frozen) weight.unfreeze();
    for (std::size_t c = 0; c < ranges.size(); ++c) {
      ranges[c].min *= factors[c];
      ranges[c].max *= factors[c];
    }
    set_ranges_where(weight, ranges, [&](std::size_t c) { return grows(factors[c]); });
    if (was_frozen) weight.freeze();
    const auto channel = static_cast<std::size_t>(first - factors.begin());
    notes.push_back(fmt::format(
        "{}: the range {}is {:.3g} times as large, so that int32 holds the bias {}", weight.name(),
        ranges.size() == 1
            ? std::string()
            : fmt::format("of {} of {} channels, {} the first of them, ",
                          std::ranges::count_if(factors, grows), ranges.size(), channel),
        *first, bias.name()));
  }
  return notes;
}

}  // namespace rung::quantsim
