#include "rung/graph/graph.h"

#include <algorithm>

#include "core/check.h"
#include "rung/core/closest.h"

namespace rung {

Graph::Graph() : state_(std::make_shared<State>()) {}
Graph::~Graph() = default;

// A graph that was moved from is empty. Neither has a version that anything compiled before knows.
Graph::Graph(Graph&& other) noexcept : Graph() { *this = std::move(other); }
Graph& Graph::operator=(Graph&& other) noexcept {
  if (this == &other) return *this;
  const std::uint64_t newest = std::max(state_->version, other.state_->version);
  Graph taken;
  const auto exchange = [](Graph& a, Graph& b) {
    a.nodes_.swap(b.nodes_);
    a.values_.swap(b.values_);
    a.value_names_.swap(b.value_names_);
    a.node_names_.swap(b.node_names_);
    a.inputs_.swap(b.inputs_);
    a.outputs_.swap(b.outputs_);
    a.scopes_.swap(b.scopes_);
    a.state_.swap(b.state_);
    std::swap(a.int32_biases_, b.int32_biases_);
  };
  exchange(taken, other);
  exchange(*this, taken);
  state_->version = newest + 1;
  other.state_->version = newest + 2;
  return *this;
}

void Graph::set_int32_biases(bool wanted) {
  int32_biases_ = wanted;
  touch();
}

// ---- building

std::string Graph::scoped(std::string_view name) const {
  std::string full;
  for (const std::string& scope : scopes_) full += scope + '.';
  return full.append(name);
}

Value& Graph::new_value(std::string name, Shape shape) {
  require(!name.empty(), "Graph: a value needs a name");
  require(!value_names_.contains(name), "Graph: the name {} is taken", name);
  auto value = std::make_unique<Value>();
  value->name_ = std::move(name);
  value->shape_ = std::move(shape);
  Value& made = *value;
  values_.push_back(std::move(value));
  value_names_.emplace(made.name_, &made);
  return made;
}

Var Graph::input(std::string_view name, Shape shape) {
  Value& value = new_value(scoped(name), std::move(shape));
  inputs_.push_back(&value);
  touch();
  return Var(*this, value);
}

Value& Graph::add_parameter(std::string_view full_name, Tensor tensor, Role role) {
  require(tensor.defined(), "Graph: parameter {} needs a tensor", full_name);
  Value& value = new_value(std::string(full_name), tensor.shape());
  give(value, std::make_shared<Parameter>(value.name_, std::move(tensor), role));
  touch();
  return value;
}

Var Graph::parameter(std::string_view name, Tensor tensor, Role role) {
  return Var(*this, add_parameter(scoped(name), std::move(tensor), role));
}

Node& Graph::place_node(std::size_t position, std::unique_ptr<Op> op,
                        std::span<Value* const> inputs, NodeNames names) {
  std::string& name = names.node;
  require(op != nullptr, "Graph: node {} needs an op", name);
  require(!name.empty(), "Graph: a {} node needs a name", op->type());
  require(!node_names_.contains(name), "Graph: the node name {} is taken", name);
  std::vector<Shape> shapes;
  for (const Value* value : inputs) {
    require(value != nullptr && find_value(value->name()) == value,
            "[{} {}] an input does not belong to this graph", op->type(), name);
    shapes.push_back(value->shape());
  }
  std::vector<Shape> outputs;
  try {
    outputs = op->infer(shapes);
  } catch (const Error& error) {
    fail("[{} {}] {}", op->type(), name, error.what());
  }
  if (names.outputs.empty())
    for (std::size_t i = 0; i < outputs.size(); ++i)
      names.outputs.push_back(i == 0 ? name : fmt::format("{}.{}", name, i));
  require(names.outputs.size() == outputs.size(), "[{} {}] has {} outputs, got {} names for them",
          op->type(), name, outputs.size(), names.outputs.size());
  for (auto each = names.outputs.begin(); each != names.outputs.end(); ++each) {
    require(!each->empty(), "[{} {}] an output needs a name", op->type(), name);
    require(!value_names_.contains(*each) && std::find(names.outputs.begin(), each, *each) == each,
            "Graph: the name {} is taken", *each);
  }

  auto node = std::make_unique<Node>();
  node->op_ = std::move(op);
  node->inputs_.assign(inputs.begin(), inputs.end());
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i]->uses_.push_back({node.get(), i});
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Value& value = new_value(std::move(names.outputs[i]), std::move(outputs[i]));
    value.producer_ = node.get();
    value.output_index_ = i;
    node->outputs_.push_back(&value);
  }
  node->name_ = std::move(name);
  Node& made = *node;
  nodes_.insert(nodes_.begin() + static_cast<std::ptrdiff_t>(position), std::move(node));
  node_names_.emplace(made.name_, &made);
  touch();
  return made;
}

Node& Graph::add_node(std::unique_ptr<Op> op, std::span<Value* const> inputs,
                      std::string_view name) {
  return place_node(nodes_.size(), std::move(op), inputs, {scoped(name), {}});
}

Node& Graph::add_node(std::unique_ptr<Op> op, std::span<Value* const> inputs,
                      const NodeNames& names) {
  return place_node(nodes_.size(), std::move(op), inputs, names);
}

Var Graph::add(std::unique_ptr<Op> op, std::initializer_list<Var> inputs, std::string_view name) {
  std::vector<Value*> values;
  for (const Var& var : inputs) values.push_back(&var.value());
  return Var(*this, add_node(std::move(op), values, name).output());
}

void Graph::set_outputs(std::vector<Value*> outputs) {
  for (const Value* value : outputs)
    require(value != nullptr && find_value(value->name()) == value,
            "Graph::set_outputs: an output does not belong to this graph");
  outputs_ = std::move(outputs);
  touch();
}

void Graph::set_outputs(std::initializer_list<Var> outputs) {
  std::vector<Value*> values;
  for (const Var& var : outputs) values.push_back(&var.value());
  set_outputs(std::move(values));
}

// ---- looking

std::vector<Node*> Graph::nodes() const {
  std::vector<Node*> nodes;
  for (const auto& node : nodes_) nodes.push_back(node.get());
  return nodes;
}

std::vector<Value*> Graph::values() const {
  std::vector<Value*> values;
  for (const auto& value : values_) values.push_back(value.get());
  return values;
}

bool Graph::is_output(const Value& value) const {
  return std::ranges::find(outputs_, &value) != outputs_.end();
}

std::vector<Parameter*> Graph::parameters() const {
  std::vector<Parameter*> parameters;
  for (const auto& value : values_)
    if (value->parameter()) parameters.push_back(value->parameter());
  return parameters;
}

std::vector<Parameter*> Graph::parameters(Role role) const {
  std::vector<Parameter*> chosen = parameters();
  std::erase_if(chosen, [role](const Parameter* p) { return p->role() != role; });
  return chosen;
}

Value* Graph::find_value(std::string_view name) const {
  const auto found = value_names_.find(name);
  return found == value_names_.end() ? nullptr : found->second;
}

Node* Graph::find_node(std::string_view name) const {
  const auto found = node_names_.find(name);
  return found == node_names_.end() ? nullptr : found->second;
}

namespace {

template <typename Map>
std::string close_keys(std::string_view name, const Map& map) {
  std::vector<std::string> names;
  for (const auto& [key, unused] : map) names.push_back(key);
  return closest_names(name, names);
}

}  // namespace

Value& Graph::value(std::string_view name) const {
  Value* found = find_value(name);
  require(found != nullptr, "Graph: no value is named {}; closest: {}", name,
          close_keys(name, value_names_));
  return *found;
}

Node& Graph::node(std::string_view name) const {
  Node* found = find_node(name);
  require(found != nullptr, "Graph: no node is named {}; closest: {}", name,
          close_keys(name, node_names_));
  return *found;
}

Parameter& Graph::parameter(std::string_view name) const {
  const Value* found = find_value(name);
  if (found != nullptr && found->parameter() != nullptr) return *found->parameter();
  std::vector<std::string> names;
  for (const Parameter* parameter : parameters()) names.push_back(parameter->name());
  fail("Graph: no parameter is named {}; closest: {}", name, closest_names(name, names));
}

Scope::Scope(Graph& graph, std::string_view name) : graph_(graph) {
  graph_.scopes_.emplace_back(name);
}

Scope::~Scope() { graph_.scopes_.pop_back(); }

}  // namespace rung
