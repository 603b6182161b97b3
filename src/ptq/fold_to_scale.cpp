// Folds the batch norms of a trained sim without changing what was trained: the codes of the
// weights. The weight of channel o is multiplied by c = gamma / sigma, and so is its range.

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "graph/layer.h"
#include "ops/quantize/value_quantizer.h"
#include "ptq/fold.h"
#include "ptq/weight_codes.h"
#include "quantsim/batch_norms/rename_quantizer.h"
#include "rung/ptq/batch_norm.h"

namespace rung::ptq {

namespace {

const QuantizeDequantize* quantizer_of(const Node* node) {
  return node == nullptr ? nullptr : node->as<QuantizeDequantize>();
}

/// Says what keeps the weight's quantizer from taking one factor per channel.
std::string weight_obstacle(const Node& layer, const std::vector<float>& factor) {
  const Value& weight = weight_value(layer);
  if (weight.parameter() != nullptr) return parameter_obstacle(layer);  // not quantized: no scale
  if (layer.op().traits().weighted->output_axis != 0)
    return fmt::format("{} is a {}: scales along its output channels are not moved", layer.name(),
                       layer.type());
  const Node* node = weight.producer();
  const QuantizeDequantize* op = quantizer_of(node);
  if (op == nullptr) return fmt::format("{} is not a parameter", weight.name());
  const std::string shared = parameter_obstacle(*node, 0);
  if (!shared.empty()) return shared;
  if (weight.uses().size() != 1) return fmt::format("{} is read by several nodes", weight.name());
  const Quantizer& quantizer = op->quantizer();
  const std::string who = "the quantizer of " + weight_of(layer).name();
  if (std::ranges::any_of(weight_of(layer).value().data(), [](float w) { return std::isnan(w); }))
    return weight_of(layer).name() + " has elements that are NaN";
  if (quantizer.kind() != AffineQuantizer::kKind)
    return fmt::format("{} is of kind {}, not affine", who, quantizer.kind());
  if (quantizer.axis() != 0)
    return who + " is per tensor: one scale cannot take in a factor per channel";
  if (op->recomputed() && !op->frozen())
    return who + " finds its range anew from the weights: freeze it first";
  if (!op->initialized() && !quantizer.pass_through())
    return who + " has no encoding: call compute_encodings first";
  if (quantizer.resolved_symmetry() == Symmetry::unsigned_symmetric &&
      std::ranges::any_of(factor, [](float c) { return c < 0; }))
    return who + " has no negative codes, and a channel turns negative";
  return {};
}

std::string existing_bias_obstacle(const Node& layer) {
  const Value* bias = bias_value(layer);
  if (bias == nullptr) return {};
  if (bias->parameter() != nullptr)
    return parameter_obstacle(layer, *layer.op().traits().weighted->bias);
  return fmt::format("the bias of {} is quantized", layer.name());
}

NodeSet activation_quantizers(const Graph& graph) {
  NodeSet quantizers;
  for (const Node* node : graph.nodes())
    if (quantizer_of(node) != nullptr && node->inputs()[0]->parameter() == nullptr)
      quantizers.insert(node);
  return quantizers;
}

/// Says if one of the quantizers between layer and batch norm is on.
std::string between_obstacle(const Node& layer, const Node& norm) {
  for (const Node* node = norm.inputs()[0]->producer(); node != &layer;
       node = node->inputs()[0]->producer())
    if (quantizer_of(node)->enabled())
      return fmt::format("the output of {} is quantized in front of it", layer.name());
  return {};
}

/// Remarks that a layer behind the batch norm is of no use.
std::string forward_remark(const Node& norm) {
  const Node* node = &norm;
  while (node->output().uses().size() == 1) {
    node = node->output().uses()[0].node;
    if (is_layer(*node))
      return fmt::format("; forward, into {}, there is no fold to scale", node->name());
    if (quantizer_of(node) == nullptr) break;
  }
  return {};
}

void fold(Graph& graph, Node& layer, Node& norm) {
  while (norm.inputs()[0]->producer() != &layer)  // disabled quantizers in between
    graph.bypass_node(*norm.inputs()[0]->producer());
  Node* output_quantizer = value_quantizer(norm.output());
  Node* weight_quantizer = weight_value(layer).producer();
  if (weight_quantizer != nullptr && weight_quantizer->as<QuantizeDequantize>()->initialized()) {
    const WeightCodes codes(QuantizerHandle(*weight_quantizer), gamma_over_sigma(norm));
    fold_backward(graph, layer, norm);
    codes.keep();
  } else {
    fold_backward(graph, layer, norm);
  }
  if (output_quantizer != nullptr)
    quantsim::rename_quantizer(graph, *output_quantizer, layer.output());
}

}  // namespace

FoldTarget scale_fold_target(const Graph& graph, const Node& norm) {
  FoldTarget target = layer_in_front(graph, norm, activation_quantizers(graph));
  if (target.layer == nullptr) target.obstacle += forward_remark(norm);
  if (target.possible()) target.obstacle = between_obstacle(*target.layer, norm);
  if (target.possible()) target.obstacle = norm_obstacle(norm);
  if (target.possible()) target.obstacle = weight_obstacle(*target.layer, gamma_over_sigma(norm));
  if (target.possible()) target.obstacle = existing_bias_obstacle(*target.layer);
  if (target.possible()) target.obstacle = bias_obstacle(graph, *target.layer);
  return target;
}

FoldResult fold_all_batch_norms_to_scale(QuantizationSimModel& sim) {
  Graph& graph = sim.graph();
  for (const Node* norm : batch_norms(graph))  // nothing has changed if a statistic is wrong
    if (norm_obstacle(*norm).empty()) gamma_over_sigma(*norm);

  FoldResult result;
  for (Node* norm : batch_norms(graph)) {
    const FoldTarget target = scale_fold_target(graph, *norm);
    const std::string layer = target.layer != nullptr ? target.layer->name() : "";
    if (target.possible()) {
      result.folded.push_back({layer, norm->name()});
      fold(graph, *target.layer, *norm);
    } else {
      result.skipped.push_back({norm->name(), layer, target.obstacle});
    }
  }
  return result;
}

}  // namespace rung::ptq
