// Which nodes one kernel computes: one and those behind it that it accepts as its tails. Always the
// value between them has no other reader, is not watched and no output.

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "exec/passes.h"

namespace rung {
namespace {

/// Returns the only node that reads `node`'s only output, or nullptr if several do, or none, or if
/// the output is also an output of the graph: then the value is needed as it stands.
const Node* only_consumer(const Graph& graph, const Node& node) {
  if (node.outputs().size() != 1) return nullptr;
  const Value& output = node.output();
  if (output.uses().size() != 1 || graph.is_output(output)) return nullptr;
  return output.uses()[0].node;
}

class Grouping {
 public:
  Grouping(Program& program, const Source& source) : program_(program), source_(source) {}

  void run() {
    const std::vector<Node*> nodes = source_.graph.nodes();
    std::map<const Node*, std::size_t> position;
    for (std::size_t i = 0; i < nodes.size(); ++i) position[nodes[i]] = i;
    std::map<std::size_t, Group> groups;  // by the position of the last: all inputs are there then
    for (const Node* node : nodes) {
      if (absorbed_.contains(node)) continue;
      Group group{.node = node,
                  .inputs = {node->inputs().begin(), node->inputs().end()},
                  .outputs = {node->outputs().begin(), node->outputs().end()}};
      while (extend(group)) continue;
      groups.emplace(position.at(last(group)), std::move(group));
    }
    for (auto& [at, group] : groups) program_.groups.push_back(std::move(group));
  }

 private:
  static const Node* last(const Group& group) {
    return group.joined.empty() ? group.node : group.joined.back();
  }

  /// Adds the node behind the group to it, if one kernel may compute both.
  bool extend(Group& group) {
    const Node& before = *last(group);
    if (!source_.options.fuse || source_.is_watched(before.output())) return false;
    const Node* next = only_consumer(source_.graph, before);
    if (next == nullptr || absorbed_.contains(next)) return false;
    const std::optional<Tail> tail = tail_of(*next);
    if (!tail || (tail->kind == Tail::Kind::addition && !can_add(*group.node, *next))) return false;
    group.tails.push_back(*tail);
    group.tails.back().first_input = group.inputs.size();
    const std::optional<Tails> tails = Tails::of(group.tails);
    if (repeats_operand(*group.node) || !tails ||
        !group.node->op().accepts(*tails, program_.mode)) {
      group.tails.pop_back();
      return false;
    }
    for (Value* input : next->inputs())
      if (input != &before.output()) group.inputs.push_back(input);
    group.outputs.assign(next->outputs().begin(), next->outputs().end());
    group.joined.push_back(next);
    absorbed_.insert(next);
    return true;
  }

  std::optional<Tail> tail_of(const Node& node) const {
    std::optional<Tail> tail = node.op().tail();
    if (!tail || tail->kind != Tail::Kind::quantizer) return tail;
    if (program_.mode == Mode::eval) return std::nullopt;  // it may have to give codes
    tail->learns = std::ranges::any_of(node.inputs().subspan(1), [](const Value* value) {
      return value->parameter() != nullptr && value->parameter()->requires_grad();
    });
    return tail;
  }

  /// False if inputs might come as codes: sums of codes are scaled before anything is added.
  bool can_add(const Node& first, const Node& addition) const {
    if (repeats_operand(addition)) return false;
    return program_.mode == Mode::train ||
           std::ranges::none_of(first.inputs(), [](const Value* input) {
             return input->producer() != nullptr && input->producer()->op().code_channels() > 0;
           });
  }

  /// True for an addition of different shapes: its kernel does nothing else.
  bool repeats_operand(const Node& node) const {
    const std::optional<Tail> tail = node.op().tail();
    return tail && tail->kind == Tail::Kind::addition &&
           program_.shapes.at(node.inputs()[0]) != program_.shapes.at(node.inputs()[1]);
  }

  Program& program_;
  const Source& source_;
  std::set<const Node*> absorbed_;
};

}  // namespace

void group(Program& program, const Source& source) { Grouping(program, source).run(); }

}  // namespace rung
