#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/format.h"
#include "ops/fold_arithmetic.h"
#include "rung/graph/pattern.h"
#include "rung/ops/ops.h"
#include "rung/ptq/ptq.h"

namespace rung::ptq {

namespace {

/// In evaluation a batch norm is y = scale * x + shift, per channel.
struct Affine {
  std::vector<float> scale, shift;
};

struct Normalization {
  std::span<const float> gamma, beta, mean, variance;
  float epsilon;
};

Normalization read(const Node& norm) {
  const auto values = [&](std::size_t i) {
    return std::as_const(norm.inputs()[i]->parameter()->value()).data();
  };
  return {values(1), values(2), values(3), values(4), norm.as<BatchNormalization>()->epsilon};
}

/// Returns gamma / sigma per channel.
std::vector<float> gamma_over_sigma(const Node& node) {
  const Normalization norm = read(node);
  std::vector<float> factor(norm.gamma.size());
  for (std::size_t c = 0; c < factor.size(); ++c) {
    factor[c] = fold_factor(norm.gamma[c], fold_sigma(norm.variance[c], norm.epsilon));
    require(std::isfinite(factor[c]) && std::isfinite(norm.mean[c]) && std::isfinite(norm.beta[c]),
            "fold_all_batch_norms: [BatchNormalization {}] channel {} has running_var {}, "
            "running_mean {}, weight {} and bias {}: cannot be folded",
            node.name(), c, norm.variance[c], norm.mean[c], norm.gamma[c], norm.beta[c]);
  }
  return factor;
}

/// Returns the layer's bias for writing; creates zeros if it has none.
std::span<float> editable_bias(Graph& graph, Node& layer, std::int64_t channels) {
  if (layer.inputs().size() < 3) {
    Value& bias = graph.add_parameter(layer.name() + ".bias", Tensor(Shape{channels}), Role::bias);
    graph.append_input(layer, bias);
  }
  return layer.inputs()[2]->parameter()->edit().data();
}

/// Layer, then batch norm: W*[o] = W[o] g / s; b* = beta + (b - mean) g / s.
void fold_backward(Graph& graph, Node& layer, Node& norm) {
  const std::vector<float> factor = gamma_over_sigma(norm);
  const Normalization n = read(norm);
  const auto channels = static_cast<std::int64_t>(factor.size());
  const std::span<float> weight = layer.inputs()[1]->parameter()->edit().data();
  const std::span<float> bias = editable_bias(graph, layer, channels);
  const std::size_t row = weight.size() / factor.size();
  for (std::size_t o = 0; o < factor.size(); ++o) {
    for (float& w : weight.subspan(o * row, row)) w *= factor[o];
    bias[o] = fold_bias(bias[o], n.beta[o], n.mean[o], factor[o]);
  }
  graph.bypass_node(norm);
}

/// Batch norm, then layer: W*[:, i] = W[:, i] g_i / s_i;
/// b*[o] = b[o] + sum_i (sum_k W[o, i, k]) (beta_i - mean_i g_i / s_i).
void fold_forward(Graph& graph, Node& layer, Node& norm) {
  const std::vector<float> factor = gamma_over_sigma(norm);
  const Normalization n = read(norm);
  const std::int64_t outputs = layer.inputs()[1]->shape()[0];
  const std::span<float> weight = layer.inputs()[1]->parameter()->edit().data();
  const std::span<float> bias = editable_bias(graph, layer, outputs);
  const std::size_t inputs = factor.size();
  const std::size_t taps = weight.size() / (static_cast<std::size_t>(outputs) * inputs);
  for (std::size_t o = 0; o < bias.size(); ++o) {
    double shift = 0;
    for (std::size_t i = 0; i < inputs; ++i) {
      double sum = 0;
      for (float& w : weight.subspan((o * inputs + i) * taps, taps)) {
        sum += w;
        w *= factor[i];
      }
      shift += sum * (n.beta[i] - double{n.mean[i]} * factor[i]);
    }
    bias[o] = static_cast<float>(bias[o] + shift);
  }
  graph.bypass_node(norm);
}

/// Zeros that padding adds are not what the batch norm would have made of them.
bool can_fold_forward(const Node& norm, const Node& layer) {
  if (layer.inputs()[0] != &norm.output()) return false;
  for (const Node* node : {&norm, &layer})
    for (const Value* input : node->inputs().subspan(1))
      if (input->parameter() == nullptr || input->uses().size() != 1) return false;
  const Conv* conv = layer.as<Conv>();
  return conv == nullptr || (conv->padding_h == 0 && conv->padding_w == 0 && conv->groups == 1);
}

}  // namespace

std::vector<FoldedPair> fold_all_batch_norms(Graph& graph) {
  // Everything that can be wrong is found before the first weight changes.
  for (const Node* node : graph.nodes())
    if (node->as<BatchNormalization>() != nullptr && node->inputs()[1]->parameter() != nullptr)
      gamma_over_sigma(*node);

  std::vector<FoldedPair> folded;
  for (const auto& [layer, norm] : find_foldable_batch_norms(graph)) {
    folded.push_back({layer->name(), norm->name()});
    fold_backward(graph, *layer, *norm);
  }
  for (const char* type : {"Conv", "Gemm"}) {
    for (const Chain& chain : find_chains(graph, {"BatchNormalization", type})) {
      if (!can_fold_forward(*chain[0], *chain[1])) continue;
      folded.push_back({chain[1]->name(), chain[0]->name()});
      fold_forward(graph, *chain[1], *chain[0]);
    }
  }
  return folded;
}

}  // namespace rung::ptq
