#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/check.h"
#include "graph/layer.h"
#include "ops/norm/fold_arithmetic.h"
#include "ptq/fold.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/ops.h"
#include "rung/ptq/batch_norm.h"

namespace rung::ptq {

namespace {

struct Normalization {
  std::span<const float> gamma, beta, mean, variance;
  float epsilon;
};

Normalization read(const Node& norm) {
  const auto values = [&](std::size_t i) { return norm.inputs()[i]->parameter()->value().data(); };
  return {values(1), values(2), values(3), values(4), norm.as<BatchNormalization>()->epsilon};
}

/// Returns the layer's bias for writing; creates zeros if it has none.
std::span<float> editable_bias(Graph& graph, Node& layer, std::int64_t channels) {
  if (bias_value(layer) == nullptr) {
    Value& bias = graph.add_parameter(new_bias_name(layer), Tensor(Shape{channels}), Role::bias);
    graph.append_input(layer, bias);
  }
  return bias_value(layer)->parameter()->edit().data();
}

/// Batch norm, then layer: W*[:, i] = W[:, i] g_i / s_i;
/// b*[o] = b[o] + sum_i (sum_k W[o, i, k]) (beta_i - mean_i g_i / s_i).
void fold_forward(Graph& graph, Node& layer, Node& norm) {
  const std::vector<float> factor = gamma_over_sigma(norm);
  const Normalization n = read(norm);
  const std::int64_t outputs = weight_value(layer).shape()[0];
  const std::span<float> weight = weight_value(layer).parameter()->edit().data();
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

/// Gives a batch norm copies of those of its parameters that others read.
void untie(Graph& graph, Node& norm) {
  constexpr std::array kSuffixes = {"weight", "bias", "running_mean", "running_var"};
  for (std::size_t i = 1; i < norm.inputs().size(); ++i) {
    const Value& old = *norm.inputs()[i];
    if (old.uses().size() == 1) continue;
    std::string name = fmt::format("{}.{}", norm.name(), kSuffixes.at(i - 1));
    while (graph.find_value(name) != nullptr) name += ".own";
    const Parameter& source = *old.parameter();
    Value& copy = graph.add_parameter(name, source.value().clone(), source.role());
    if (source.role() != Role::buffer) copy.parameter()->set_requires_grad(source.requires_grad());
    graph.replace_input({&norm, i}, copy);
  }
}

/// Writes scale and shift into weight and bias, and makes the statistics trivial.
void make_statistics_trivial(Graph& graph, Node& norm) {
  untie(graph, norm);
  const std::vector<float> factor = gamma_over_sigma(norm);
  const auto values = [&](std::size_t i) { return norm.inputs()[i]->parameter()->edit().data(); };
  const std::span<float> gamma = values(1), beta = values(2), mean = values(3);
  for (std::size_t c = 0; c < factor.size(); ++c) beta[c] -= mean[c] * factor[c];
  std::ranges::copy(factor, gamma.begin());
  std::ranges::fill(mean, 0.0f);
  std::ranges::fill(values(4), 1.0f);
  norm.as<BatchNormalization>()->epsilon = 0.0f;
  norm.as<BatchNormalization>()->frozen = true;
  graph.touch();
}

std::string layer_behind_obstacle(const Node& layer) {
  const Conv* conv = layer.as<Conv>();
  if (conv == nullptr) return {};
  if (conv->padding_h != 0 || conv->padding_w != 0 || conv->padding_more_h != 0 ||
      conv->padding_more_w != 0)
    return fmt::format("{} pads with zeros, which the batch norm would not leave zeros",
                       layer.name());
  if (conv->groups != 1) return fmt::format("{} has {} groups", layer.name(), conv->groups);
  return {};
}

FoldTarget layer_behind(const Graph& graph, const Node& norm, const NodeSet& skipped) {
  const Node* node = &norm;
  while (true) {
    const std::string obstacle = chain_obstacle(graph, node->output());
    if (!obstacle.empty()) return {nullptr, obstacle};
    const Use use = node->output().uses()[0];
    if (skipped.contains(use.node)) {
      node = use.node;
      continue;
    }
    // Behind it a ConvTranspose would turn the shift into one that differs from pixel to pixel.
    if (!is_layer(*use.node) || use.node->as<ConvTranspose>() != nullptr || use.index != 0)
      return {nullptr, fmt::format("[{} {}] follows it, not a Conv or Gemm", use.node->type(),
                                   use.node->name())};
    return {use.node, layer_behind_obstacle(*use.node)};
  }
}

/// Says what stands on both sides of a batch norm.
std::string neighbours(const FoldTarget& backward, const FoldTarget& forward) {
  const auto side = [](const FoldTarget& target, std::string_view where) {
    return target.layer == nullptr ? target.obstacle
                                   : fmt::format("{} stands {} it", target.layer->name(), where);
  };
  return side(backward, "in front of") + "; " + side(forward, "behind");
}

}  // namespace

bool is_batch_norm(const Node& node) { return node.as<BatchNormalization>() != nullptr; }

std::vector<Node*> batch_norms(const Graph& graph) {
  std::vector<Node*> norms = graph.nodes();
  std::erase_if(norms, [](const Node* node) { return !is_batch_norm(*node); });
  return norms;
}

FoldTarget forward_fold_target(const Graph& graph, const Node& norm, const NodeSet& skipped) {
  FoldTarget target = layer_behind(graph, norm, skipped);
  if (target.possible()) target.obstacle = parameter_obstacle(*target.layer);
  if (target.possible()) target.obstacle = norm_obstacle(norm);
  if (target.possible()) target.obstacle = bias_obstacle(graph, *target.layer);
  return target;
}

std::string fold_obstacles(const FoldTarget& backward, const FoldTarget& forward) {
  if (backward.obstacle == forward.obstacle) return backward.obstacle;
  return backward.obstacle + "; " + forward.obstacle;
}

// In AIMET's order of float32 operations: golden encodings of folded weights agree bit for bit.
std::vector<float> gamma_over_sigma(const Node& node) {
  const Normalization norm = read(node);
  std::vector<float> factor(norm.gamma.size());
  for (std::size_t c = 0; c < factor.size(); ++c) {
    factor[c] = fold_factor(norm.gamma[c], fold_sigma(norm.variance[c], norm.epsilon));
    require(norm.variance[c] >= 0 && std::isfinite(factor[c]) && std::isfinite(norm.mean[c]) &&
                std::isfinite(norm.beta[c]),
            "folding batch norms: [BatchNormalization {}] channel {} has running_var {}, "
            "running_mean {}, weight {} and bias {}: cannot be folded",
            node.name(), c, norm.variance[c], norm.mean[c], norm.gamma[c], norm.beta[c]);
  }
  return factor;
}

Parameter& weight_of(const Node& layer) {
  const Value* weight = &weight_value(layer);
  if (weight->parameter() == nullptr) weight = weight->producer()->inputs()[0];
  return *weight->parameter();
}

/// Multiplies the weights that lead to each output channel by the channel's factor.
void scale_outputs(const Node& layer, std::span<float> weight, const std::vector<float>& factor) {
  const auto scale = [](std::span<float> row, float by) {
    for (float& w : row) w *= by;
  };
  const auto* transposed = layer.as<ConvTranspose>();
  if (transposed == nullptr) {  // [O, ...]
    const std::size_t row = weight.size() / factor.size();
    for (std::size_t o = 0; o < factor.size(); ++o) scale(weight.subspan(o * row, row), factor[o]);
    return;
  }
  // [I, O / groups, ...]: the inputs of a group lead to the outputs of the same group.
  const Shape& shape = weight_of(layer).shape();
  const auto inputs = static_cast<std::size_t>(shape[0]);
  const auto outputs = static_cast<std::size_t>(shape[1]);
  const std::size_t inputs_per_group = inputs / static_cast<std::size_t>(transposed->groups);
  const std::size_t taps = weight.size() / (inputs * outputs);
  for (std::size_t i = 0; i < inputs; ++i)
    for (std::size_t o = 0; o < outputs; ++o)
      scale(weight.subspan((i * outputs + o) * taps, taps),
            factor[i / inputs_per_group * outputs + o]);
}

/// Layer, then batch norm: W*[o] = W[o] g / s; b* = beta + (b - mean) g / s.
void fold_backward(Graph& graph, Node& layer, Node& norm) {
  const std::vector<float> factor = gamma_over_sigma(norm);
  const Normalization n = read(norm);
  const std::span<float> weight = weight_of(layer).edit().data();
  const std::span<float> bias =
      editable_bias(graph, layer, static_cast<std::int64_t>(factor.size()));
  scale_outputs(layer, weight, factor);
  for (std::size_t o = 0; o < factor.size(); ++o)
    bias[o] = fold_bias(bias[o], n.beta[o], n.mean[o], factor[o]);
  graph.bypass_node(norm);
}

bool has_trivial_statistics(const Node& norm) {
  const auto* op = norm.as<BatchNormalization>();
  if (op == nullptr || !op->frozen || op->epsilon != 0.0f) return false;
  const auto all = [&](std::size_t i, float expected) {
    const Parameter* parameter = norm.inputs()[i]->parameter();
    return parameter != nullptr &&
           std::ranges::all_of(parameter->value().data(), [&](float v) { return v == expected; });
  };
  return all(3, 0.0f) && all(4, 1.0f);
}

FoldResult fold_all_batch_norms(Graph& graph, const FoldBatchNormsOptions& options) {
  // Everything that can be wrong is found before the first weight changes.
  for (const Node* norm : batch_norms(graph))
    if (norm_obstacle(*norm).empty()) gamma_over_sigma(*norm);

  FoldResult result;
  for (Node* norm : batch_norms(graph)) {  // a norm behind a folded one meets the layer in turn
    const FoldTarget target = backward_fold_target(graph, *norm);
    if (!target.possible()) continue;
    result.folded.push_back({target.layer->name(), norm->name()});
    fold_backward(graph, *target.layer, *norm);
  }
  for (Node* norm : batch_norms(graph) | std::views::reverse) {  // the same from behind
    const FoldTarget target = forward_fold_target(graph, *norm);
    if (!target.possible()) continue;
    result.folded.push_back({target.layer->name(), norm->name()});
    fold_forward(graph, *target.layer, *norm);
  }
  for (Node* norm : batch_norms(graph)) {
    const FoldTarget backward = backward_fold_target(graph, *norm);
    const std::string obstacles = fold_obstacles(backward, forward_fold_target(graph, *norm));
    const std::string layer = backward.layer != nullptr ? backward.layer->name() : "";
    result.skipped.push_back({norm->name(), layer, obstacles});
    if (options.convert_standalone && norm_obstacle(*norm).empty())
      make_statistics_trivial(graph, *norm);
  }
  return result;
}

std::vector<SkippedBatchNorm> batch_norms_not_simulated(const Graph& graph) {
  std::vector<SkippedBatchNorm> skipped;
  for (const Node* norm : batch_norms(graph)) {
    FoldTarget target = backward_fold_target(graph, *norm);
    if (target.possible() && target.layer->as<ConvTranspose>() != nullptr)
      target.obstacle = fmt::format("{} is a ConvTranspose, whose folding is not simulated",
                                    target.layer->name());
    if (target.possible()) continue;
    const std::string layer = target.layer != nullptr ? target.layer->name() : "";
    skipped.push_back({norm->name(), layer, target.obstacle});
  }
  return skipped;
}

void fold_given_batch_norms(Graph& graph, const std::vector<FoldedPair>& pairs) {
  struct Fold {
    Node *layer, *norm;
    bool is_backward;
  };
  std::vector<Fold> folds;
  NodeSet gone;
  for (const FoldedPair& pair : pairs) {
    Node &layer = graph.node(pair.layer), &norm = graph.node(pair.batch_norm);
    require(is_batch_norm(norm), "fold_given_batch_norms: [{} {}] is not a batch norm", norm.type(),
            norm.name());
    require(!gone.contains(&norm), "fold_given_batch_norms: {} is named twice", norm.name());
    const FoldTarget backward = backward_fold_target(graph, norm, gone);
    const FoldTarget forward = forward_fold_target(graph, norm, gone);
    const bool is_backward = backward.layer == &layer;
    require(is_backward || forward.layer == &layer,
            "fold_given_batch_norms: [{} {}] is not next to {}: {}", layer.type(), layer.name(),
            norm.name(), neighbours(backward, forward));
    const FoldTarget& target = is_backward ? backward : forward;
    require(target.possible(), "fold_given_batch_norms: {} cannot be folded into {}: {}",
            norm.name(), layer.name(), target.obstacle);
    gamma_over_sigma(norm);
    folds.push_back({&layer, &norm, is_backward});
    gone.insert(&norm);
  }
  for (const Fold& fold : folds)
    fold.is_backward ? fold_backward(graph, *fold.layer, *fold.norm)
                     : fold_forward(graph, *fold.layer, *fold.norm);
}

}  // namespace rung::ptq
