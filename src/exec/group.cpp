// Which nodes one kernel computes: a Conv, BatchNormalization or Add with the Relu and, in
// training, the QuantizeDequantize behind it; also with the Add before those, BatchNormalization in
// training and Conv in evaluation. Always the value between them has no other reader, is not
// watched and no output; an Add takes part only if its operands have equal shapes.

#include <algorithm>
#include <map>
#include <set>

#include "exec/passes.h"
#include "rung/graph/pattern.h"

namespace rung {

namespace {

bool learns(const Node& quantizer) {
  return std::ranges::any_of(quantizer.inputs().subspan(1), [](const Value* value) {
    return value->parameter() != nullptr && value->parameter()->requires_grad();
  });
}

// False if inputs might come as codes: sums of codes are scaled before anything is added.
bool reads_real_numbers(const Node& node) {
  return std::ranges::none_of(node.inputs(), [](const Value* input) {
    return input->producer() != nullptr && input->producer()->op().code_channels() > 0;
  });
}

}  // namespace

void group(Program& program, const Source& source) {
  const Graph& graph = source.graph;
  const Mode mode = program.mode;
  const std::map<const Value*, Shape>& shapes = program.shapes;
  const std::vector<Node*> nodes = graph.nodes();
  std::map<const Node*, std::size_t> position;
  for (std::size_t i = 0; i < nodes.size(); ++i) position[nodes[i]] = i;
  std::map<std::size_t, Group> groups;  // by the position of the last: all inputs are there then
  std::set<const Node*> absorbed;
  // False for an Add that repeats an operand: its kernel does nothing else.
  const auto can_join = [&](const Node& node) {
    return node.type() != "Add" || shapes.at(node.inputs()[0]) == shapes.at(node.inputs()[1]);
  };
  // Returns the node behind `node` if one kernel may compute both.
  const auto behind = [&](const Node& node) -> const Node* {
    if (!source.options.fuse || !can_join(node) || source.is_watched(node.output())) return nullptr;
    const Node* next = only_consumer(graph, node);
    const bool fits = next != nullptr && !absorbed.contains(next) && can_join(*next);
    return fits ? next : nullptr;
  };
  for (const Node* node : nodes) {
    if (absorbed.contains(node)) continue;
    Group made{.node = node,
               .inputs = {node->inputs().begin(), node->inputs().end()},
               .outputs = {node->outputs().begin(), node->outputs().end()}};
    const Op& op = node->op();
    const Node* last = node;
    const auto join = [&](const Node& next) {
      for (Value* input : next.inputs())
        if (input != &last->output()) made.inputs.push_back(input);
      made.outputs.assign(next.outputs().begin(), next.outputs().end());
      made.joined.push_back(&next);
      absorbed.insert(&next);
      last = &next;
    };
    const auto quantizer_behind = [&](const Node& node) -> const Node* {
      const Node* next = mode == Mode::train ? behind(node) : nullptr;
      const bool fits =
          next != nullptr && next->op().can_be_fused() && op.can_fuse_quantizer(learns(*next));
      return fits ? next : nullptr;
    };
    if (op.can_fuse_add(mode) && (mode == Mode::train || reads_real_numbers(*node))) {
      const Node* quantizer = quantizer_behind(*node);
      const Node* add = behind(quantizer != nullptr ? *quantizer : *node);
      if (add != nullptr && add->type() == "Add") {
        made.add = true;
        made.quantizer_before_add = quantizer;
        if (quantizer != nullptr) join(*quantizer);
        join(*add);
      }
    }
    if (op.can_fuse_relu())
      if (const Node* relu = behind(*last); relu != nullptr && relu->type() == "Relu") {
        made.relu = true;
        join(*relu);
      }
    if (const Node* quantizer = quantizer_behind(*last); quantizer != nullptr) {
      made.quantizer = quantizer;
      join(*quantizer);
    }
    groups.emplace(position.at(last), std::move(made));
  }
  for (auto& [at, made] : groups) program.groups.push_back(std::move(made));
}

}  // namespace rung
