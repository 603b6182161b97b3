#include "rung/ops/init.h"

#include <cmath>

#include "ops/first_weights.h"
#include "rung/ops/ops.h"

namespace rung::nn {
namespace {

/// Returns the parameter behind input i, or nullptr if there is none.
Parameter* parameter_of(const Node& node, std::size_t i) {
  return i < node.inputs().size() ? node.inputs()[i]->parameter() : nullptr;
}

void draw_uniform(Parameter* parameter, double bound, const Rng& rng) {
  if (parameter == nullptr) return;
  Rng own = rng.split(parameter->name());
  for (float& value : parameter->edit().data())
    value = static_cast<float>(own.uniform(-bound, bound));
}

void draw_normal(Parameter& parameter, double deviation, const Rng& rng) {
  Rng own = rng.split(parameter.name());
  for (float& value : parameter.edit().data()) value = static_cast<float>(deviation * own.normal());
}

/// The fan in is the product of all extents but the first, as torch
/// counts it: of [O, I / groups, KH, KW], and of ConvTranspose's [I, O / groups, KH, KW].
double uniform_bound(const Shape& weight) {
  const double fan_in = static_cast<double>(weight.numel()) / static_cast<double>(weight[0]);
  return 1.0 / std::sqrt(fan_in);
}

void init_layer(const Node& node, const Rng& rng, InitScheme scheme, BiasInit bias_init) {
  const Weighted weighted = node.op().traits().weighted.value_or(Weighted());
  Parameter* weight = parameter_of(node, weighted.weight);
  if (weight == nullptr || weight->value().numel() == 0) return;
  const Shape& shape = weight->shape();
  const double bound = uniform_bound(shape);
  switch (scheme) {
    case InitScheme::kaiming_normal_fan_out: {
      // torch counts O * KH * KW here whatever the number of groups is.
      const double fan_out = static_cast<double>(shape.numel()) / static_cast<double>(shape[1]);
      draw_normal(*weight, std::sqrt(2.0 / fan_out), rng);
      break;
    }
    case InitScheme::kaiming_uniform_fan_in:
      draw_uniform(weight, bound, rng);
      break;
    case InitScheme::normal_0_01:
      draw_normal(*weight, 0.01, rng);
      break;
  }
  Parameter* bias = weighted.bias ? parameter_of(node, *weighted.bias) : nullptr;
  if (bias_init == BiasInit::uniform_fan_in)
    draw_uniform(bias, bound, rng);
  else if (bias != nullptr)
    bias->edit().fill(0.0f);
}

// PyTorch's, whatever the scheme: its inputs are x, weight, recurrence and bias.
void init_recurrent(const Node& node, const Rng& rng) {
  const Parameter* recurrence = parameter_of(node, 2);
  if (recurrence == nullptr) return;
  for (std::size_t i = 1; i <= 3; ++i)
    draw_uniform(parameter_of(node, i), recurrent_bound(recurrence->shape()[2]), rng);
}

void init_batch_norm(const Node& node) {
  const float values[] = {1.0f, 0.0f, 0.0f, 1.0f};  // weight, bias, running mean, running variance
  for (std::size_t i = 0; i < 4; ++i)
    if (Parameter* parameter = parameter_of(node, i + 1)) parameter->edit().fill(values[i]);
}

}  // namespace

void draw_first_weights(const Graph& graph, Parameter& weight, Parameter* bias) {
  if (!graph.seed() || weight.value().numel() == 0) return;
  const Rng rng = Rng(*graph.seed()).split("init");
  const double bound = uniform_bound(weight.shape());
  draw_uniform(&weight, bound, rng);
  draw_uniform(bias, bound, rng);
}

void draw_first_weights(const Graph& graph, std::span<Value* const> parameters, double bound) {
  if (!graph.seed()) return;
  const Rng rng = Rng(*graph.seed()).split("init");
  for (const Value* each : parameters) draw_uniform(each->parameter(), bound, rng);
}

void init_parameters(Graph& graph, const Rng& rng, const InitOptions& options) {
  for (const Node* node : graph.nodes()) {
    switch (node->op().traits().first_values) {
      case FirstValues::given:
        break;
      case FirstValues::image:
        init_layer(*node, rng, options.conv, options.bias);
        break;
      case FirstValues::matrix:
        init_layer(*node, rng, options.linear, options.bias);
        break;
      case FirstValues::uniform:
        init_layer(*node, rng, InitScheme::kaiming_uniform_fan_in, options.bias);
        break;
      case FirstValues::recurrent:
        init_recurrent(*node, rng);
        break;
      case FirstValues::statistics:
        init_batch_norm(*node);
        break;
    }
  }
}

}  // namespace rung::nn
