// What each tensor of the file is, and the nodes and parameters that are made of them.

#include "core/check.h"
#include "io/files/names.h"
#include "io/onnx/ops/codes.h"

namespace rung::io::onnx_import {

// ---- tensors

const Importer::Entry& Importer::entry(const std::string& tensor) const {
  const auto found = tensors_.find(tensor);
  require(found != tensors_.end(),
          "reads {}, which no node before it writes, or which is an output that is not computed "
          "here",
          shown_name(tensor));
  return found->second;
}

Importer::Entry& Importer::entry(const std::string& tensor) {
  return const_cast<Entry&>(std::as_const(*this).entry(tensor));
}

bool Importer::is_constant(const std::string& tensor) const {
  const Entry& found = entry(tensor);
  return found.initializer != nullptr || found.constant != nullptr;
}

ConstantPtr Importer::constant(const std::string& tensor) {
  const Entry& found = entry(tensor);
  if (found.constant) return found.constant;
  require(found.initializer != nullptr, "needs {} to be a constant", shown_name(tensor));
  budget_.take(element_count(*found.initializer));
  try {
    return std::make_shared<const Constant>(decode(*found.initializer));
  } catch (const Error& error) {
    fail("tensor {} {}", shown_name(tensor), error.what());
  }
}

Value& Importer::value(const std::string& tensor) {
  const Entry& found = entry(tensor);
  if (found.quantized && moves_codes_)
    return onnx_ops::dequantized(*this, *found.quantized, tensor, false);
  require(!found.quantized, "reads {} as integers: only DequantizeLinear can", shown_name(tensor));
  return found.value != nullptr ? *found.value : parameter(tensor, Role::buffer);
}

Value& Importer::parameter(const std::string& tensor, Role role) {
  Entry& found = entry(tensor);
  if (found.value == nullptr && is_constant(tensor)) {
    const ConstantPtr source = constant(tensor);
    require(source->per_batch.empty(), "needs {} as a tensor, but it depends on the batch size",
            shown_name(tensor));
    const std::string& name = origin(tensor);
    const bool is_same =
        name != tensor && !source->limits && constant(name)->shape == source->shape;
    found.value = is_same ? &parameter(name, role) : &add_parameter(tensor, source->tensor(), role);
  }
  return found.value != nullptr ? *found.value : value(tensor);
}

Value& Importer::parameter(const std::string& tensor, Role role, std::string_view form_name,
                           const std::function<Tensor(const Tensor&)>& form) {
  Value*& made = forms_[{tensor, std::string(form_name)}];
  if (made == nullptr) made = &add_parameter(tensor, form(constant(tensor)->tensor()), role);
  return *made;
}

Value& Importer::reshaped_parameter(const std::string& tensor, Role role, const Shape& shape) {
  const std::string& name = origin(tensor);
  if (constant(name)->shape == shape) return parameter(name, role);
  return parameter(name, role, shape.to_string(),
                   [&](const Tensor& stored) { return stored.reshape(shape); });
}

const std::string& Importer::origin(const std::string& tensor) const {
  const std::string& found = entry(tensor).origin;
  return found.empty() ? tensor : found;
}

Quantized* Importer::quantized(const std::string& tensor) { return entry(tensor).quantized.get(); }

const std::vector<Reader>& Importer::readers(const std::string& tensor) const {
  static const std::vector<Reader> kNone;
  const auto found = readers_.find(tensor);
  return found == readers_.end() ? kNone : found->second;
}

const Shape* Importer::larger_batch(const Value& value) const {
  const auto found = larger_.find(&value);
  return found == larger_.end() ? nullptr : &found->second;
}

void Importer::define(const std::string& tensor, Entry made) {
  require(tensors_.emplace(tensor, std::move(made)).second, "the tensor {} is there twice",
          shown_name(tensor));
}

void Importer::set_value(const std::string& tensor, Value& value) {
  Entry made;
  made.value = &value;
  define(tensor, std::move(made));
}

void Importer::set_constant(const std::string& tensor, Constant constant) {
  Entry made;
  made.constant = std::make_shared<const Constant>(std::move(constant));
  define(tensor, std::move(made));
}

void Importer::set_quantized(const std::string& tensor, Quantized quantized) {
  Entry made;
  made.quantized = std::make_shared<Quantized>(std::move(quantized));
  define(tensor, std::move(made));
}

void Importer::set_alias(const std::string& tensor, const std::string& source) {
  define(tensor, entry(source));
}

// ---- nodes

void Importer::remove(Node& node) {
  for (const Value* output : node.outputs()) {
    larger_.erase(output);
    tensors_.erase(output->name());
  }
  graph_.remove_node(node);
}

std::string Importer::fresh_name(const std::string& name) const {
  const auto is_free = [&](const std::string& each) {
    return !reserved_.contains(each) && graph_.find_value(each) == nullptr &&
           graph_.find_node(each) == nullptr;
  };
  if (is_free(name)) return name;
  for (int i = 1;; ++i)
    if (std::string each = fmt::format("{}.{}", name, i); is_free(each)) return each;
}

Value& Importer::add_parameter(const std::string& name, Tensor tensor, Role role) {
  const bool is_own = reserved_.contains(name) && graph_.find_value(name) == nullptr;
  Value& made = graph_.add_parameter(is_own ? name : fresh_name(name), std::move(tensor), role);
  larger_[&made] = made.shape();
  return made;
}

Value& Importer::place(std::unique_ptr<Op> op, const std::vector<Value*>& inputs,
                       const NodeNames& names) {
  require(op != nullptr, "is not known to the library");
  std::vector<Shape> larger;
  for (const Value* input : inputs)
    if (const Shape* shape = larger_batch(*input)) larger.push_back(*shape);
  Node& node = graph_.add_node(std::move(op), inputs, names);
  for (const Value* output : node.outputs())
    checked_shape({output->shape().dims().begin(), output->shape().dims().end()});
  if (larger.size() == inputs.size()) try {
      larger_[&node.output()] = std::as_const(node).op().infer(larger).at(0);
    } catch (const Error&) {
      // The batch size is part of the model here.
    }
  return node.output();
}

Value& Importer::add(const NodeReader& node, std::unique_ptr<Op> op,
                     const std::vector<Value*>& inputs, std::size_t index) {
  const std::string& output = node.output(index);
  std::string name = node.name().empty() ? output : node.name();
  if (graph_.find_node(name) != nullptr) name = output;
  if (graph_.find_node(name) != nullptr) name = fresh_name(name);
  Value& made = place(std::move(op), inputs, {name, {output}});
  set_value(output, made);
  return made;
}

Value& Importer::add_step(const NodeReader& node, std::string_view suffix, std::unique_ptr<Op> op,
                          const std::vector<Value*>& inputs) {
  return add_named(fresh_name(fmt::format("{}.{}", node.output(), suffix)), std::move(op), inputs);
}

Value& Importer::add_named(const std::string& name, std::unique_ptr<Op> op,
                           const std::vector<Value*>& inputs) {
  return place(std::move(op), inputs, {name, {name}});
}

}  // namespace rung::io::onnx_import
