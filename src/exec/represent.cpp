// Where codes flow instead of real numbers: the exact mode of evaluation. A Conv or Gemm whose two
// inputs come from quantizers, behind ops that only move numbers or straight, sums whole numbers,
// so that its result depends neither on the order of the sum nor on the machine, and equals what
// integer hardware computes.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "exec/passes.h"

namespace rung {
namespace {

struct CodeFlow {
  std::set<const Node*> takers;    // read codes
  std::set<const Node*> carriers;  // move codes as they move real numbers
  std::set<const Value*> codes;    // needed as codes
  std::set<const Value*> real;     // of those, the ones that are needed as real numbers, too
};

/// True for an op that gives codes as it gives the numbers that they stand for: zeros that it adds
/// are zero as codes, too.
bool can_carry(const Group& node) {
  return node.inputs.size() == 1 && node.outputs.size() == 1 && node.joined.empty() &&
         node.node->op().traits().grid_preserving();
}

class CodeFlowFinder {
 public:
  CodeFlowFinder(const Source& source, std::span<const Group> nodes)
      : source_(source), nodes_(nodes) {
    for (const Group& node : nodes)
      if (can_carry(node)) carrier_of_[node.outputs[0]] = &node;
  }

  CodeFlow find() {
    for (const Group& node : nodes_)
      if (takes_codes(node)) {
        flow_.takers.insert(node.node);
        need_codes(*node.inputs[0]);
        flow_.codes.insert(node.inputs[1]);
      }
    // From the back: what a carrier moves is needed as real numbers only if its result is.
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
      const bool is_taker = flow_.takers.contains(node->node);
      const bool moves_codes_only = flow_.carriers.contains(node->node) &&
                                    !flow_.real.contains(node->outputs[0]) &&
                                    !is_wanted(*node->outputs[0]);
      for (std::size_t i = 0; i < node->inputs.size(); ++i)
        if (!moves_codes_only && (i >= 2 || !is_taker)) flow_.real.insert(node->inputs[i]);
    }
    for (const Value* value : flow_.codes)
      if (is_wanted(*value)) flow_.real.insert(value);
    return std::move(flow_);
  }

 private:
  /// Returns how many scales the codes of this value have, 0 if it has none.
  std::int64_t code_channels(const Value& value) const {
    const Value* at = &value;
    for (auto carrier = carrier_of_.find(at); carrier != carrier_of_.end();
         carrier = carrier_of_.find(at))
      at = carrier->second->inputs[0];
    return at->producer() == nullptr ? 0 : at->producer()->op().code_channels();
  }

  bool takes_codes(const Group& node) const {
    if (!node.node->op().can_take_codes() || node.inputs.size() < 2) return false;
    const Value& weight = *node.inputs[1];
    const Node* producer = weight.producer();
    const std::int64_t scales = producer == nullptr ? 0 : producer->op().code_channels();
    return code_channels(*node.inputs[0]) == 1 &&
           (scales == 1 || (scales > 0 && scales == weight.shape()[0]));
  }

  /// Notes the value, and what the carriers before it read.
  void need_codes(const Value& value) {
    if (!flow_.codes.insert(&value).second) return;
    const auto carrier = carrier_of_.find(&value);
    if (carrier == carrier_of_.end()) return;
    flow_.carriers.insert(carrier->second->node);
    need_codes(*carrier->second->inputs[0]);
  }

  bool is_wanted(const Value& value) const {
    return source_.graph.is_output(value) || source_.is_watched(value);
  }

  const Source& source_;
  std::span<const Group> nodes_;
  std::map<const Value*, const Group*> carrier_of_;  // by what it gives
  CodeFlow flow_;
};

}  // namespace

void represent(Program& program, const Source& source) {
  CodeFlow flow;
  if (program.mode == Mode::eval && source.options.exact)
    flow = CodeFlowFinder(source, program.groups).find();
  for (const Group& group : program.groups) {
    const Value* output = group.outputs[0];
    const bool carries = flow.carriers.contains(group.node);
    Task task{.group = group, .takes_codes = flow.takers.contains(group.node)};
    task.gives_codes = flow.codes.contains(output) && !carries;
    task.gives_real = !task.gives_codes || flow.real.contains(output);
    // What moves codes runs on real numbers as well only if somebody wants these.
    if (!carries || flow.real.contains(output)) program.tasks.push_back(std::move(task));
    if (carries) program.tasks.push_back({.group = group, .moves_codes = true});
  }
}

}  // namespace rung
