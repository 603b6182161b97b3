#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/check.h"
#include "ops/quantize/quantizer_names.h"
#include "ops/quantize/value_quantizer.h"
#include "quantsim/quantizer_nodes.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

namespace {

bool is_quantizer(const Node* node) {
  return node != nullptr && node->as<QuantizeDequantize>() != nullptr;
}

/// Finds what an op's inputs come from and lets it share the quantizer behind the op's output.
class Propagation {
 public:
  Propagation(Graph& graph, Node& shared) : graph_(graph), shared_(shared) {}

  void reach(Use use) {
    const Value* value = use.node->inputs()[use.index];
    Node* on_edge = nullptr;
    if (is_quantizer(value->producer()) &&
        QuantizerHandle(*value->producer()).place() == QuantizerPlace::edge) {
      on_edge = value->producer();
      value = on_edge->inputs()[0];
    }
    Node* behind = nullptr;
    if (is_quantizer(value->producer())) {
      behind = value->producer();
      value = behind->inputs()[0];
    }
    if (value->parameter() != nullptr) return;
    Node* producer = value->producer();
    if (producer == nullptr) {  // a graph input: the op's own quantizer
      if (on_edge == nullptr && behind == nullptr) add_on_edge(use);
      if (on_edge != nullptr) replace(*on_edge);
      if (behind != nullptr) replace(*behind);
      return;
    }
    if (behind != nullptr && behind != &shared_) replace(*behind);
    if (!producer->op().traits().math_invariant()) return;
    for (std::size_t i = 0; i < producer->inputs().size(); ++i) reach({producer, i});
  }

 private:
  std::vector<Value*> parameters() const {
    const auto inputs = shared_.inputs().subspan(1);
    return {inputs.begin(), inputs.end()};
  }

  /// Puts another node in the place of a quantizer, with its name and the shared parameters.
  void replace(Node& old) {
    const auto have = old.inputs().subspan(1), wanted = shared_.inputs().subspan(1);
    if (!wanted.empty() && std::ranges::equal(have, wanted)) return;
    auto op = std::make_unique<QuantizeDequantize>(*shared_.as<QuantizeDequantize>());
    const quantsim::QuantizerPlaceholder place = quantsim::take_out(graph_, old);
    quantsim::put_in(graph_, place, std::move(op), parameters());
  }

  void add_on_edge(Use use) {
    auto op = std::make_unique<QuantizeDequantize>(*shared_.as<QuantizeDequantize>());
    op->set_place(QuantizerPlace::edge);
    graph_.insert_on_edge(use, std::move(op), parameters(), quantizer_name(use));
  }

  Graph& graph_;
  Node& shared_;
};

/// Returns the quantizer behind the op's output; throws Error if inputs cannot share it.
Node& output_quantizer(const Node& node) {
  require(node.outputs().size() == 1,
          "propagate_output_encodings: {} has {} outputs; only one can be shared", node.name(),
          node.outputs().size());
  Node* found = value_quantizer(node.output());
  require(found != nullptr && QuantizerHandle(*found).enabled(),
          "propagate_output_encodings: there is no enabled quantizer behind {}", node.name());
  require(!found->as<QuantizeDequantize>()->quantizer().axis(),
          "propagate_output_encodings: the quantizer behind {} is per channel; its inputs have "
          "other channels",
          node.name());
  return *found;
}

}  // namespace

void propagate_output_encodings(QuantizationSimModel& sim,
                                const std::function<bool(const Node&)>& condition) {
  require(static_cast<bool>(condition), "propagate_output_encodings: the condition is empty");
  Graph& graph = sim.graph();
  std::vector<Node*> chosen;
  for (Node* node : graph.nodes())
    if (!is_quantizer(node) && condition(*node)) chosen.push_back(node);
  require(!chosen.empty(), "propagate_output_encodings: no op is meant");
  for (const Node* node : chosen) output_quantizer(*node);  // throws before the first edit
  // Consumers first: of two Concats behind each other both end with the last one's.
  std::ranges::reverse(chosen);
  for (Node* node : chosen) {
    Propagation propagation(graph, output_quantizer(*node));
    for (std::size_t i = 0; i < node->inputs().size(); ++i) propagation.reach({node, i});
  }
}

void propagate_output_encodings(QuantizationSimModel& sim, std::string_view op_type) {
  const std::vector<Node*> nodes = sim.graph().nodes();
  require(std::ranges::any_of(nodes, [&](const Node* node) { return node->type() == op_type; }),
          "propagate_output_encodings: the graph has no {}", op_type);
  propagate_output_encodings(sim, [&](const Node& node) { return node.type() == op_type; });
}

}  // namespace rung
