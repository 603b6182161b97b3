#include "layer.h"

#include <map>
#include <set>

#include "rung/rung.h"

namespace agreement {
namespace {

using namespace rung;

/// True for a working quantizer of something else than a parameter.
bool is_boundary(const Node& node) {
  const auto* op = node.as<QuantizeDequantize>();
  return op != nullptr && op->enabled() && !op->quantizer().pass_through() &&
         node.inputs()[0]->parameter() == nullptr;
}

/// A copy of a few nodes.
class Layer {
 public:
  Layer(const Graph& graph, const Node& last, const Tensor& x, const Boundary& boundary)
      : x_(x), boundary_(boundary) {
    need(last, true);
    for (const Node* node : graph.nodes())
      if (needed_.contains(node)) copy(*node, node == &last);
    graph_.set_outputs({copies_.at(&last.output())});
    last_ = copies_.at(&last.output())->producer()->as<QuantizeDequantize>();
  }

  Tensor run() { return Executor(graph_).forward(inputs_)[0]; }
  Tensor run_without_last() {
    last_->set_enabled(false);
    Tensor real = run();
    last_->set_enabled(true);
    return real;
  }

 private:
  void need(const Node& node, bool is_last) {
    if (!needed_.insert(&node).second || (is_boundary(node) && !is_last)) return;
    for (const Value* input : node.inputs())
      if (input->producer() != nullptr) need(*input->producer(), false);
  }

  void copy(const Node& node, bool is_last) {
    std::vector<Value*> inputs;
    for (const Value* input : node.inputs()) {
      const bool begins = is_boundary(node) && !is_last && inputs.empty();
      inputs.push_back(begins ? &input_of(node.name() + ".x", boundary_(node)) : &copy_of(*input));
    }
    copies_[&node.output()] = &graph_.add_node(node.op().clone(), inputs, node.name()).output();
  }

  Value& input_of(const std::string& name, const Tensor& numbers) {
    inputs_.push_back(numbers);
    return graph_.input(name, numbers.shape()).value();
  }

  Value& copy_of(const Value& value) {
    const auto found = copies_.find(&value);
    if (found != copies_.end()) return *found->second;
    const Parameter* parameter = value.parameter();
    Value& copy =
        parameter != nullptr
            ? graph_.add_parameter(parameter->name(), parameter->value().clone(), parameter->role())
            : input_of(value.name(), x_);
    return *(copies_[&value] = &copy);
  }

  const Tensor& x_;
  const Boundary& boundary_;
  Graph graph_;
  QuantizeDequantize* last_ = nullptr;
  std::set<const Node*> needed_;
  std::map<const Value*, Value*> copies_;
  std::vector<Tensor> inputs_;
};

}  // namespace

LayerOutput run_layer(const Graph& graph, const Node& quantizer, const Tensor& x,
                      const Boundary& boundary) {
  Layer layer(graph, quantizer, x, boundary);
  const Tensor y = layer.run();
  const auto& op = *quantizer.as<QuantizeDequantize>();
  return {layer.run_without_last(),
          quantize(y.data(), y.shape(), op.encoding(quantizer_parameters(quantizer)))};
}

}  // namespace agreement
