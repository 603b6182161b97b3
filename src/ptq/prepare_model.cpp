#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/check.h"
#include "ptq/checks.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/ptq/prepare.h"

namespace rung::ptq {

namespace {

/// Reads the numbers among an op's attributes, of ops that have no header.
class Numbers final : public AttributeVisitor {
 public:
  explicit Numbers(Op& op) { op.visit(*this); }
  double at(std::string_view name) const { return values_.at(std::string(name)); }
  void operator()(std::string_view name, std::int64_t& value) override {
    values_[std::string(name)] = static_cast<double>(value);
  }
  void operator()(std::string_view name, double& value) override {
    values_[std::string(name)] = value;
  }
  void operator()(std::string_view name, float& value) override {
    values_[std::string(name)] = value;
  }
  void operator()(std::string_view, bool&) override {}
  void operator()(std::string_view, std::string&) override {}
  void operator()(std::string_view, std::vector<std::int64_t>&) override {}

 private:
  std::map<std::string, double> values_;
};

constexpr double kEndless = std::numeric_limits<float>::max();

/// True if a view gives back the shape it gets, also with one axis (a batch of another size)
/// longer.
bool keeps_shape(const Op& op, const Shape& shape) {
  const auto keeps = [&](const Shape& tried) {
    return op.infer(std::vector<Shape>{tried}) == std::vector<Shape>{tried};
  };
  if (!keeps(shape)) return false;
  for (std::int64_t axis = 0; axis < shape.rank(); ++axis) {
    try {
      if (!keeps(shape.with(axis, shape[axis] + 1))) return false;
    } catch (const Error&) {
      // It only runs on the shape that it keeps.
    }
  }
  return true;
}

/// Says why the node does nothing in Mode::eval; empty if it does something.
std::string why_removable(Node& node) {
  const std::string_view type = node.type();
  if (type == "Dropout") return "does nothing in evaluation";
  if (type == "Identity") return "does nothing";
  if (type == "Concat" && node.inputs().size() == 1) return "joins one input";
  if ((type == "Flatten" || type == "Reshape") && keeps_shape(node.op(), node.inputs()[0]->shape()))
    return "keeps the shape";
  if (type == "Clip") {
    const Numbers ends(node.op());
    if (ends.at("min") <= -kEndless && ends.at("max") >= kEndless) return "has no ends";
  }
  return {};
}

/// A graph must not have one of its ends twice among its outputs.
bool can_bypass(const Graph& graph, const Node& node) {
  const Value& input = *node.inputs()[0];
  return !graph.is_output(node.output()) ||
         (input.producer() != nullptr && !graph.is_output(input));
}

class Preparer {
 public:
  explicit Preparer(Graph& graph) : graph_(graph) {}

  void remove_dead_nodes() {
    const NodeSet live = live_nodes(graph_);
    for (Node* node : graph_.nodes() | std::views::reverse) {
      if (live.contains(node)) continue;
      note(*node, "removed: no output depends on it");
      graph_.remove_node(*node);
    }
  }

  void remove_idle_nodes() {
    for (Node* node : graph_.nodes()) {
      const std::string reason = why_removable(*node);
      if (reason.empty() || !can_bypass(graph_, *node)) continue;
      const bool was_output = graph_.is_output(node->output());
      note(*node, fmt::format("removed: {}{}", reason,
                              was_output ? "; the output is now " + node->inputs()[0]->name()
                                         : std::string()));
      graph_.bypass_node(*node);
    }
  }

  void make_relus() {
    for (Node* node : graph_.nodes()) {
      if (node->type() != "Clip") continue;
      const Numbers ends(node->op());
      if (ends.at("min") != 0 || ends.at("max") < kEndless) continue;
      note(*node, "now a Relu, which is the same");
      graph_.replace_op(*node, std::make_unique<Relu>());
    }
  }

  /// The first reader keeps the parameter, every other one gets a copy under its own name.
  void untie_parameters() {
    for (Value* value : graph_.values()) {
      if (value->parameter() == nullptr) continue;
      std::map<const Node*, Value*> own;
      const std::vector<Use> uses(value->uses().begin(), value->uses().end());
      for (const Node* node : graph_.nodes()) {  // in network order
        for (const Use& use : uses) {
          if (use.node != node) continue;
          if (own.empty()) own[node] = value;
          Value*& mine = own[node];
          if (mine == nullptr) mine = &copy_for(*node, *value);
          if (mine != value) graph_.replace_input(use, *mine);
        }
      }
    }
  }

  std::vector<ModelChange> changes() { return std::move(changes_); }

 private:
  void note(const Node& node, const std::string& what) {
    changes_.push_back({node.name(), fmt::format("{} {}", node.type(), what)});
  }

  Value& copy_for(const Node& reader, const Value& value) {
    const Parameter& source = *value.parameter();
    const std::string base =
        fmt::format("{}.{}", reader.name(), value.name().substr(value.name().rfind('.') + 1));
    std::string name = base;
    for (int i = 1; graph_.find_value(name) != nullptr; ++i) name = fmt::format("{}_{}", base, i);
    Value& made = graph_.add_parameter(name, source.value().clone(), source.role());
    made.parameter()->set_requires_grad(source.requires_grad());
    changes_.push_back({name, fmt::format("copied from {} for {}", value.name(), reader.name())});
    return made;
  }

  Graph& graph_;
  std::vector<ModelChange> changes_;
};

}  // namespace

std::vector<ModelChange> prepare_model(Graph& graph, const PrepareOptions& options) {
  require(!graph.outputs().empty(), "prepare_model: the graph has no outputs; call set_outputs");
  for (const Node* node : graph.nodes())
    require(node->as<QuantizeDequantize>() == nullptr,
            "prepare_model: the graph already has the quantizer {}; prepare the float model, then "
            "make a QuantizationSimModel of it",
            node->name());
  Preparer preparer(graph);
  preparer.remove_dead_nodes();
  preparer.remove_idle_nodes();
  preparer.make_relus();
  if (options.untie_parameters) preparer.untie_parameters();
  return preparer.changes();
}

}  // namespace rung::ptq
