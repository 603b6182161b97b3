// Edits of a graph that already exists. Each keeps nodes() topologically sorted: a new node is
// placed right behind the producer of the value it reads.

#include <algorithm>

#include "core/check.h"
#include "rung/graph/graph.h"

namespace rung {

std::size_t Graph::position_of(const Node& node) const {
  const auto found =
      std::ranges::find_if(nodes_, [&](const auto& held) { return held.get() == &node; });
  return static_cast<std::size_t>(found - nodes_.begin());
}

std::size_t Graph::position_after(const Value& value) const {
  return value.producer() == nullptr ? 0 : position_of(*value.producer()) + 1;
}

Node& Graph::insert_after(Value& value, std::unique_ptr<Op> op, std::span<Value* const> extra,
                          std::string_view name) {
  const std::vector<Use> old_uses = value.uses_;
  std::vector<Value*> inputs = {&value};
  inputs.insert(inputs.end(), extra.begin(), extra.end());
  Node& node = place_node(position_after(value), std::move(op), inputs, {std::string(name), {}});
  Value& output = node.output();
  for (const Use& use : old_uses) {
    use.node->inputs_[use.index] = &output;
    output.uses_.push_back(use);
  }
  std::erase_if(value.uses_, [&](const Use& use) { return use.node != &node; });
  std::ranges::replace(outputs_, &value, &output);
  return node;
}

Node& Graph::insert_on_edge(Use use, std::unique_ptr<Op> op, std::span<Value* const> extra,
                            std::string_view name) {
  require(use.node != nullptr && use.index < use.node->inputs_.size(),
          "Graph::insert_on_edge: there is no such edge");
  Value& value = *use.node->inputs_[use.index];
  std::vector<Value*> inputs = {&value};
  inputs.insert(inputs.end(), extra.begin(), extra.end());
  Node& node = place_node(position_after(value), std::move(op), inputs, {std::string(name), {}});
  std::erase(value.uses_, use);
  use.node->inputs_[use.index] = &node.output();
  node.output().uses_.push_back(use);
  return node;
}

void Graph::replace_uses(Value& from, Value& to) {
  require(from.shape_ == to.shape_, "Graph::replace_uses: {} {} and {} {} have different shapes",
          from.name_, from.shape_, to.name_, to.shape_);
  for (const Use& use : from.uses_) {
    use.node->inputs_[use.index] = &to;
    to.uses_.push_back(use);
  }
  from.uses_.clear();
  std::ranges::replace(outputs_, &from, &to);
  touch();
}

void Graph::append_input(Node& node, Value& value) {
  std::vector<Shape> shapes;
  for (const Value* input : node.inputs_) shapes.push_back(input->shape());
  shapes.push_back(value.shape());
  try {
    node.op_->infer(shapes);
  } catch (const Error& error) {
    fail("[{} {}] {}", node.type(), node.name(), error.what());
  }
  value.uses_.push_back({&node, node.inputs_.size()});
  node.inputs_.push_back(&value);
  touch();
}

void Graph::replace_input(Use use, Value& value) {
  require(use.node != nullptr && use.index < use.node->inputs_.size(),
          "Graph::replace_input: there is no such edge");
  Value& old = *use.node->inputs_[use.index];
  require(old.shape_ == value.shape_, "Graph::replace_input: {} {} and {} {} have different shapes",
          old.name_, old.shape_, value.name_, value.shape_);
  require(position_after(value) <= position_of(*use.node),
          "Graph::replace_input: {} is produced behind {}", value.name_, use.node->name_);
  std::erase(old.uses_, use);
  use.node->inputs_[use.index] = &value;
  value.uses_.push_back(use);
  touch();
}

void Graph::replace_op(Node& node, std::unique_ptr<Op> op) {
  require(op != nullptr, "Graph::replace_op: {} needs an op", node.name_);
  std::vector<Shape> inputs, outputs;
  for (const Value* input : node.inputs_) inputs.push_back(input->shape());
  for (const Value* output : node.outputs_) outputs.push_back(output->shape());
  try {
    require(op->infer(inputs) == outputs, "its outputs would have other shapes than those of {}",
            node.type());
  } catch (const Error& error) {
    fail("[{} {}] {}", op->type(), node.name_, error.what());
  }
  node.op_ = std::move(op);
  touch();
}

void Graph::erase_value(Value& value) {
  value_names_.erase(value.name_);
  std::erase_if(values_, [&](const auto& held) { return held.get() == &value; });
}

void Graph::remove_node(Node& node) {
  for (const Value* output : node.outputs_)
    require(output->uses_.empty() && !is_output(*output),
            "Graph::remove_node: {} is still read, so {} cannot be removed", output->name_,
            node.name_);
  for (Value* output : node.outputs_) erase_value(*output);
  const std::vector<Value*> inputs = node.inputs_;
  for (Value* input : inputs)
    std::erase_if(input->uses_, [&](const Use& use) { return use.node == &node; });
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool repeated = std::find(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(i),
                                    inputs[i]) != inputs.begin() + static_cast<std::ptrdiff_t>(i);
    if (!repeated && inputs[i]->parameter() && inputs[i]->uses_.empty() && !is_output(*inputs[i]))
      erase_value(*inputs[i]);
  }
  node_names_.erase(node.name_);
  std::erase_if(nodes_, [&](const auto& held) { return held.get() == &node; });
  touch();
}

void Graph::bypass_node(Node& node) {
  require(!node.inputs_.empty() && node.outputs_.size() == 1,
          "Graph::bypass_node: {} must have an input and one output", node.name_);
  replace_uses(node.output(), *node.inputs_[0]);
  remove_node(node);
}

void Graph::check() const {
  std::map<const Value*, std::size_t> ready;  // value -> position of its producer + 1
  for (const auto& value : values_) {
    require(find_value(value->name_) == value.get(), "Graph::check: {} has lost its name",
            value->name_);
    if (value->producer_ == nullptr) ready[value.get()] = 0;
    if (value->is_input())
      require(std::ranges::find(inputs_, value.get()) != inputs_.end(),
              "Graph::check: {} comes from nowhere", value->name_);
    for (const Use& use : value->uses_)
      require(use.index < use.node->inputs_.size() && use.node->inputs_[use.index] == value.get(),
              "Graph::check: {} records a use by {} that is not there", value->name_,
              use.node->name_);
  }
  std::size_t position = 0;
  for (const auto& node : nodes_) {
    ++position;
    for (std::size_t i = 0; i < node->inputs_.size(); ++i) {
      const Value* input = node->inputs_[i];
      require(ready.contains(input), "Graph::check: {} reads {} before it is produced", node->name_,
              input->name_);
      require(std::ranges::count(input->uses_, Use{node.get(), i}) == 1,
              "Graph::check: {} does not know that {} reads it", input->name_, node->name_);
    }
    for (const Value* output : node->outputs_) {
      require(output->producer_ == node.get(), "Graph::check: {} has another producer than {}",
              output->name_, node->name_);
      ready[output] = position;
    }
  }
  for (const Value* output : outputs_)
    require(ready.contains(output), "Graph::check: output {} is not produced", output->name_);
}

}  // namespace rung
