#include "io/model/check_values.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "core/check.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::io {
namespace {

/// Returns which input of an op is the running variance of a batch norm.
std::optional<std::size_t> variance_input(const Node& node) {
  constexpr std::size_t kLast = 4, kOfWeight = 2;
  if (node.as<BatchNormalization>() != nullptr || node.as<FoldedBias>() != nullptr ||
      node.as<FoldedBatchNormalization>() != nullptr)
    return kLast;
  return node.as<FoldedWeight>() != nullptr ? std::optional(kOfWeight) : std::nullopt;
}

const Parameter* variance_of(const Node& node) {
  const std::optional<std::size_t> input = variance_input(node);
  return input && *input < node.inputs().size() ? node.inputs()[*input]->parameter() : nullptr;
}

void check_variance(const Node& node, const Parameter& parameter, const ConstTensor& value) {
  const std::span<const float> numbers = value.data();
  for (std::size_t c = 0; c < numbers.size(); ++c)
    require(std::isfinite(numbers[c]) && numbers[c] >= 0,
            "[{} {}] {} of channel {} is {}: a variance must be finite and not negative",
            node.type(), node.name(), parameter.name(), c, numbers[c]);
}

/// Returns the parameters of a quantizer that is at work, empty for other nodes.
std::vector<Parameter*> parameters_at_work(const Node& node) {
  const auto* op = node.as<QuantizeDequantize>();
  if (op == nullptr || !op->initialized() || op->quantizer().pass_through()) return {};
  std::vector<Parameter*> parameters = quantizer_parameters(node);
  if (std::ranges::find(parameters, nullptr) != parameters.end()) parameters.clear();
  return parameters;
}

void check_range(const Node& node) {
  const std::vector<Parameter*> parameters = parameters_at_work(node);
  if (parameters.empty()) return;
  for (const Parameter* parameter : parameters)
    for (const float number : parameter->value().data())
      require(std::isfinite(number), "[{} {}] {} is {}: a range must be finite", node.type(),
              node.name(), parameter->name(), number);
  try {
    (void)node.as<QuantizeDequantize>()->encoding(parameters);
  } catch (const Error& error) {
    fail("[{} {}] {}", node.type(), node.name(), error.what());
  }
}

}  // namespace

void check_values(const Graph& graph) {
  for (const Node* node : graph.nodes()) {
    if (const Parameter* variance = variance_of(*node))
      check_variance(*node, *variance, variance->value());
    check_range(*node);
  }
}

void check_variance(const Graph& graph, const std::string& name, const ConstTensor& value) {
  for (const Node* node : graph.nodes()) {
    const Parameter* variance = variance_of(*node);
    if (variance != nullptr && variance->name() == name) check_variance(*node, *variance, value);
  }
}

std::map<std::string, Tensor> legal_ranges(const Graph& graph) {
  std::map<std::string, Tensor> legal;
  for (const Node* node : graph.nodes()) {
    const std::vector<Parameter*> parameters = parameters_at_work(*node);
    if (!std::ranges::any_of(parameters, [](const Parameter* p) { return p->requires_grad(); }))
      continue;
    std::vector<Tensor> values;
    std::vector<std::span<float>> view;
    for (const Parameter* parameter : parameters)
      view.push_back(values.emplace_back(parameter->value().clone()).data());
    try {
      node->as<QuantizeDequantize>()->quantizer().constrain(view);
    } catch (const Error&) {
      continue;  // NaN: nothing legal follows, reading says so
    }
    for (std::size_t i = 0; i < parameters.size(); ++i)
      if (!std::ranges::equal(values[i].data(), parameters[i]->value().data()))
        legal.insert_or_assign(parameters[i]->name(), values[i]);
  }
  return legal;
}

}  // namespace rung::io
