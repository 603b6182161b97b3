#include "ptq/checks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/join.h"
#include "ptq/fold.h"
#include "quantsim/batch_norms/batch_norm_fold.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::ptq {

namespace {

std::string describe(const Node& node) { return fmt::format("[{} {}]", node.type(), node.name()); }

const QuantizeDequantize* quantizer_of(const Node& node) { return node.as<QuantizeDequantize>(); }

/// Returns the nodes that depend on an input of the graph.
NodeSet reached_nodes(const Graph& graph) {
  NodeSet reached;
  for (const Node* node : graph.nodes())
    if (std::ranges::any_of(node->inputs(), [&](const Value* value) {
          return value->is_input() || reached.contains(value->producer());
        }))
      reached.insert(node);
  return reached;
}

bool is_read(const Graph& graph, const Node& node) {
  return std::ranges::any_of(node.outputs(), [&](const Value* value) {
    return !value->uses().empty() || graph.is_output(*value);
  });
}

/// Adds the layer that a use of a parameter is for: quantizers and the nodes of a folding in
/// simulation only pass it on.
void add_readers(const Use& use, std::set<std::string>& readers) {
  const Node& node = *use.node;
  if (node.as<FoldedBatchNormalization>() != nullptr && use.index > 0) {
    readers.insert(node.inputs()[0]->producer()->name());
    return;
  }
  const bool passes_on = quantizer_of(node) != nullptr || node.as<FoldedWeight>() != nullptr ||
                         node.as<FoldedBias>() != nullptr;
  if (!passes_on)
    readers.insert(node.name());
  else
    for (const Use& behind : node.output().uses()) add_readers(behind, readers);
}

bool has_quantizers(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(),
                             [](const Node* node) { return quantizer_of(*node) != nullptr; });
}

/// Says why the batch norm cannot be folded; empty if it can.
std::string fold_obstacle(const Graph& graph, const Node& norm, bool is_sim) {
  if (is_sim) {
    try {
      return scale_fold_target(graph, norm).obstacle;
    } catch (const Error& error) {
      return error.what();
    }
  }
  const FoldTarget backward = backward_fold_target(graph, norm);
  const FoldTarget forward = forward_fold_target(graph, norm);
  return backward.possible() || forward.possible() ? "" : fold_obstacles(backward, forward);
}

}  // namespace

NodeSet live_nodes(const Graph& graph) {
  NodeSet live;
  for (const Node* node : graph.nodes() | std::views::reverse)  // consumers before producers
    if (std::ranges::any_of(node->outputs(), [&](const Value* value) {
          return graph.is_output(*value) || std::ranges::any_of(value->uses(), [&](const Use& use) {
                   return live.contains(use.node);
                 });
        }))
      live.insert(node);
  return live;
}

std::vector<Finding> check_structure(const Graph& graph) {
  std::vector<Finding> found;
  try {
    graph.check();
  } catch (const Error& error) {
    found.push_back({Severity::error, "graph", error.what(),
                     "build the graph again; only Graph's own functions keep it consistent"});
  }
  if (graph.outputs().empty())
    found.push_back({Severity::error, "graph", "it has no outputs", "call Graph::set_outputs"});
  for (const Value* input : graph.inputs())
    if (input->uses().empty() && !graph.is_output(*input))
      found.push_back({Severity::warning, input->name(), "nobody reads this input",
                       "build the graph without it, or use it"});
  return found;
}

std::vector<Finding> check_ops(const Graph& graph) {
  std::vector<Finding> found;
  for (const Node* node : graph.nodes()) {
    if (make_op(node->type()) == nullptr) {
      found.push_back({Severity::error, node->name(),
                       fmt::format("no file can hold an op of type {}", node->type()),
                       fmt::format("build it from the known ops: {}", join(op_types()))});
    } else if (const QuantizeDequantize* quantizer = quantizer_of(*node)) {
      try {
        quantizer->check_savable();
      } catch (const Error& error) {
        found.push_back({Severity::error, node->name(), error.what(),
                         "train with it, then replace it by an affine quantizer of the same "
                         "encoding"});
      }
    }
  }
  return found;
}

std::vector<Finding> check_parameters(const Graph& graph) {
  std::vector<Finding> found;
  for (const Parameter* parameter : graph.parameters()) {
    const std::span<const float> values = parameter->value().data();
    const auto bad = std::ranges::count_if(values, [](float v) { return !std::isfinite(v); });
    if (bad > 0)
      found.push_back({Severity::error, parameter->name(),
                       fmt::format("{} of {} elements are NaN or infinite", bad, values.size()),
                       "load a checkpoint from before training diverged, and lower the learning "
                       "rate"});
  }
  return found;
}

std::vector<Finding> check_shared_parameters(const Graph& graph) {
  std::vector<Finding> found;
  for (const Value* value : graph.values()) {
    // Quantizers that see the same numbers may share their ranges.
    if (value->parameter() == nullptr || value->parameter()->role() == Role::encoding) continue;
    std::set<std::string> readers;
    for (const Use& use : value->uses()) add_readers(use, readers);
    if (readers.size() < 2) continue;
    found.push_back({Severity::warning, value->name(),
                     fmt::format("{} nodes read this parameter: {}; no batch norm is folded into "
                                 "it, and one range must serve all",
                                 readers.size(), fmt::join(readers, ", ")),
                     "prepare_model(graph, {.untie_parameters = true}) gives each its own copy"});
  }
  return found;
}

std::vector<Finding> check_batch_norm_values(const Graph& graph) {
  std::vector<Finding> found;
  for (const Node* norm : graph.nodes()) {
    if (!is_batch_norm(*norm) && norm->as<FoldedBatchNormalization>() == nullptr) continue;
    const Parameter* variance = norm->inputs()[4]->parameter();
    if (variance == nullptr) continue;
    std::vector<std::size_t> negative, zero;
    const std::span<const float> values = variance->value().data();
    for (std::size_t c = 0; c < values.size(); ++c) {
      if (values[c] < 0) negative.push_back(c);
      if (values[c] == 0) zero.push_back(c);
    }
    if (!negative.empty())
      found.push_back({Severity::error, norm->name(),
                       fmt::format("the running variance of {} of {} channels is negative: {}",
                                   negative.size(), values.size(), fmt::join(negative, ", ")),
                       "no data give that: load the right file, or call reestimate_bn_stats"});
    if (!zero.empty())
      found.push_back({Severity::warning, norm->name(),
                       fmt::format("the running variance of {} of {} channels is 0: {}; they are "
                                   "multiplied by gamma / sqrt(epsilon)",
                                   zero.size(), values.size(), fmt::join(zero, ", ")),
                       "those channels were constant in training: call reestimate_bn_stats, or "
                       "set their gamma to 0"});
  }
  return found;
}

std::vector<Finding> check_foldability(const Graph& graph) {
  std::vector<Finding> found;
  std::vector<std::string> foldable;
  const bool is_sim = has_quantizers(graph);
  const std::vector<Node*> norms = batch_norms(graph);
  for (const Node* norm : norms) {
    const std::string obstacle = fold_obstacle(graph, *norm, is_sim);
    if (obstacle.empty()) {
      foldable.push_back(norm->name());
    } else if (!has_trivial_statistics(*norm)) {  // else it was seen before, and dealt with
      found.push_back({Severity::warning, norm->name(),
                       fmt::format("this batch norm cannot be folded: {}", obstacle),
                       "put it right behind a Conv or Gemm that feeds it alone, or let it be "
                       "quantized as an op of its own"});
    }
  }
  if (!foldable.empty())
    found.push_back({Severity::note, foldable.front(),
                     fmt::format("{} of {} batch norms can be folded: {}", foldable.size(),
                                 norms.size(), join(foldable)),
                     is_sim ? "call fold_all_batch_norms_to_scale after training"
                            : "call fold_all_batch_norms before QuantizationSimModel, unless "
                              "training needs them"});
  return found;
}

std::vector<Finding> check_quantizers(const Graph& graph) {
  std::vector<Finding> found;
  const NodeSet reached = reached_nodes(graph);
  for (const Node* node : graph.nodes()) {
    const QuantizeDequantize* op = quantizer_of(*node);
    if (op == nullptr) continue;
    if (!is_read(graph, *node))
      found.push_back({Severity::warning, node->name(), "nobody reads what this quantizer writes",
                       "remove it with Graph::remove_node, or make its reader read it"});
    else if (!quantsim::is_parameter(*node->inputs()[0]) && !reached.contains(node))
      found.push_back({Severity::warning, node->name(),
                       fmt::format("no input of the graph reaches this quantizer: {} depends on "
                                   "parameters only",
                                   node->inputs()[0]->name()),
                       "set its range by hand: calibration data tell nothing about it"});
    if (op->enabled() && !op->quantizer().pass_through() && !op->initialized())
      found.push_back({Severity::error, node->name(),
                       "this quantizer has no encoding: forward will fail",
                       "call compute_encodings, set_range, or disable it"});
  }
  return found;
}

std::vector<Finding> check_dead_nodes(const Graph& graph) {
  std::vector<Finding> found;
  const NodeSet live = live_nodes(graph);
  for (const Node* node : graph.nodes()) {
    if (live.contains(node)) continue;
    if (quantizer_of(*node) != nullptr && !is_read(graph, *node)) continue;  // reported as that
    found.push_back({Severity::warning, node->name(),
                     fmt::format("no output of the graph depends on {}", describe(*node)),
                     "prepare_model removes it; or add what it computes to the outputs"});
  }
  return found;
}

}  // namespace rung::ptq
