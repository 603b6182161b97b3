// Copies of a graph: all of it, or the part between some of its values.

#include <algorithm>
#include <set>

#include "core/check.h"
#include "rung/graph/graph.h"

namespace rung {

/// What of a graph is copied.
struct Graph::Part {
  std::set<const Value*> values = {};
  std::set<const Node*> nodes = {};
  std::vector<Value*> inputs = {}, outputs = {};  // of the copy
  bool shares_parameters = false;
};

namespace {

/// What one output needs, walking from it against the direction of the network up to `inputs`.
struct Needed {
  std::set<const Value*> values;
  std::set<const Node*> nodes;

  Needed(const Value& output, const std::set<const Value*>& inputs) {
    std::vector<const Value*> open = {&output};
    while (!open.empty()) {
      const Value& value = *open.back();
      open.pop_back();
      if (!values.insert(&value).second || inputs.contains(&value)) continue;
      require(!value.is_input(),
              "Graph::extract: {} also depends on the graph's input {}; add it to the inputs, or "
              "a value between them",
              output.name(), value.name());
      const Node* node = value.producer();
      if (node == nullptr || !nodes.insert(node).second) continue;
      open.insert(open.end(), node->inputs().begin(), node->inputs().end());
    }
  }
};

}  // namespace

/// Lets the value be this parameter, which tells the graph when requires_grad changes.
void Graph::give(Value& value, std::shared_ptr<Parameter> parameter) const {
  auto& structures = parameter->structures_;
  std::erase_if(structures, [](const auto& each) { return each.expired(); });
  structures.push_back(std::shared_ptr<std::uint64_t>(state_, &state_->version));
  value.parameter_ = std::move(parameter);
}

Graph Graph::copy(const Part& part) const {
  Graph copy;
  copy.set_seed(seed());
  copy.int32_biases_ = int32_biases_;
  std::map<const Value*, Value*> twin;
  for (const auto& value : values_) {
    if (!part.values.contains(value.get())) continue;
    Value& made = copy.new_value(value->name_, value->shape_);
    twin[value.get()] = &made;
    const bool is_input = std::ranges::find(part.inputs, value.get()) != part.inputs.end();
    if (is_input || value->parameter() == nullptr) continue;
    std::shared_ptr<Parameter> parameter = value->parameter_;
    if (!part.shares_parameters) {
      parameter =
          std::make_shared<Parameter>(value->name_, parameter->value().clone(), parameter->role());
      parameter->requires_grad_ = value->parameter()->requires_grad();
    }
    copy.give(made, std::move(parameter));
  }
  for (const auto& node : nodes_) {
    if (!part.nodes.contains(node.get())) continue;
    auto made = std::make_unique<Node>();
    made->name_ = node->name_;
    made->op_ = node->op_->clone();
    for (std::size_t i = 0; i < node->inputs_.size(); ++i) {
      made->inputs_.push_back(twin.at(node->inputs_[i]));
      made->inputs_.back()->uses_.push_back({made.get(), i});
    }
    for (const Value* output : node->outputs_) {
      made->outputs_.push_back(twin.at(output));
      made->outputs_.back()->producer_ = made.get();
      made->outputs_.back()->output_index_ = output->output_index_;
    }
    copy.node_names_.emplace(made->name_, made.get());
    copy.nodes_.push_back(std::move(made));
  }
  for (const Value* value : part.inputs) copy.inputs_.push_back(twin.at(value));
  for (const Value* value : part.outputs) copy.outputs_.push_back(twin.at(value));
  return copy;
}

Graph Graph::clone() const {
  Part all{.inputs = inputs_, .outputs = outputs_};
  for (const auto& value : values_) all.values.insert(value.get());
  for (const auto& node : nodes_) all.nodes.insert(node.get());
  return copy(all);
}

Graph Graph::extract(const std::vector<std::string>& inputs,
                     const std::vector<std::string>& outputs, const ExtractOptions& options) const {
  require(!outputs.empty(), "Graph::extract: there is no output");
  Part part{.shares_parameters = options.share_parameters};
  std::set<const Value*> given;
  for (const std::string& name : inputs) {
    part.inputs.push_back(&value(name));
    require(given.insert(part.inputs.back()).second, "Graph::extract: input {} is given twice",
            name);
  }
  for (const std::string& name : outputs) {
    require(std::ranges::count(outputs, name) == 1, "Graph::extract: output {} is given twice",
            name);
    part.outputs.push_back(&value(name));
    const Needed needed(*part.outputs.back(), given);
    const bool depends = std::ranges::any_of(
        given, [&](const Value* input) { return needed.values.contains(input); });
    require(depends || given.empty(), "Graph::extract: output {} does not depend on {}", name,
            fmt::join(inputs, ", "));
    part.values.insert(needed.values.begin(), needed.values.end());
    part.nodes.insert(needed.nodes.begin(), needed.nodes.end());
  }
  for (const Value* input : part.inputs)
    require(part.values.contains(input), "Graph::extract: no output depends on the input {}",
            input->name());
  for (const Node* node : part.nodes)
    for (const Value* output : node->outputs()) {
      require(!given.contains(output),
              "Graph::extract: {} cannot be an input: {}, which makes it, also makes what the "
              "outputs need",
              output->name(), node->name());
      part.values.insert(output);
    }
  return copy(part);
}

}  // namespace rung
