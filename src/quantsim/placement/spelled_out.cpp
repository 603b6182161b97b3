#include "quantsim/placement/spelled_out.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <numbers>
#include <optional>

namespace rung::quantsim {

namespace {

using Nodes = std::vector<const Node*>;

/// Returns the node that makes a value, if it has this type and nobody but one node reads it.
const Node* sole_producer(const Value& value, std::string_view type) {
  const Node* node = value.producer();
  return node != nullptr && node->type() == type && value.uses().size() == 1 ? node : nullptr;
}

/// Returns the only reader of a node's output, if it has this type.
const Node* sole_reader(const Node& node, std::string_view type) {
  if (node.outputs().size() != 1 || node.output().uses().size() != 1) return nullptr;
  const Node* reader = node.output().uses()[0].node;
  return reader->type() == type ? reader : nullptr;
}

/// Returns the first reader of a value with this type.
const Node* reader(const Value& value, std::string_view type) {
  for (const Use& use : value.uses())
    if (use.node->type() == type) return use.node;
  return nullptr;
}

/// Returns the input of a node of two that is not `value`; nullptr if that is none of them.
const Value* other_input(const Node& node, const Value& value) {
  const auto inputs = node.inputs();
  if (inputs.size() != 2) return nullptr;
  return inputs[0] == &value ? inputs[1] : inputs[1] == &value ? inputs[0] : nullptr;
}

bool is_about(const Value* value, double number) {
  const std::optional<float> constant = value == nullptr ? std::nullopt : constant_number(*value);
  return constant && std::abs(*constant - number) <= 1e-4 * std::abs(number);
}

/// Returns x of x * number, or of x / (1 / number); nullptr for another node.
const Value* factor_of(const Node& node, double number) {
  const auto inputs = node.inputs();
  if (node.type() == "Div" && is_about(inputs[1], 1 / number)) return inputs[0];
  if (node.type() != "Mul") return nullptr;
  return is_about(inputs[1], number)   ? inputs[0]
         : is_about(inputs[0], number) ? inputs[1]
                                       : nullptr;
}

/// True if the node reads the value and a constant.
bool has_constant(const Node& node, const Value& value) {
  const Value* other = other_input(node, value);
  return other != nullptr && other->parameter() != nullptr;
}

/// x * sigmoid(x).
Nodes find_swish(const Node& first) {
  if (first.type() != "Sigmoid") return {};
  const Node* product = sole_reader(first, "Mul");
  if (product == nullptr || other_input(*product, first.output()) != first.inputs()[0]) return {};
  return {&first, product};
}

/// x * (1 + erf(x / sqrt(2))) * 0.5, with the 0.5 at the end, as PyTorch writes it, or at x.
Nodes find_gelu(const Node& first) {
  const Value* x = factor_of(first, 1 / std::numbers::sqrt2);
  const Node* erf = x == nullptr ? nullptr : sole_reader(first, "Erf");
  const Node* sum = erf == nullptr ? nullptr : sole_reader(*erf, "Add");
  if (sum == nullptr || !is_about(other_input(*sum, erf->output()), 1)) return {};
  const Node* product = sole_reader(*sum, "Mul");
  if (product == nullptr) return {};
  const Value* other = other_input(*product, sum->output());
  if (other == x) {
    const Node* half = sole_reader(*product, "Mul");
    if (half == nullptr) half = sole_reader(*product, "Div");
    if (half == nullptr || factor_of(*half, 0.5) != &product->output()) return {};
    return {&first, erf, sum, product, half};
  }
  const Node* half = other == nullptr ? nullptr : sole_producer(*other, "Mul");
  if (half == nullptr || factor_of(*half, 0.5) != x) return {};
  return {&first, erf, sum, half, product};
}

/// A product with a weight, and the bias that is added to it.
Nodes find_linear(const Node& first) {
  if (first.type() != "MatMul" || first.inputs()[1]->parameter() == nullptr) return {};
  const Node* sum = sole_reader(first, "Add");
  const Value* bias = sum == nullptr ? nullptr : other_input(*sum, first.output());
  if (bias == nullptr || bias->parameter() == nullptr) return {};
  const Shape& shape = bias->shape();
  const bool is_vector = shape.rank() > 0 && shape.numel() == shape[shape.rank() - 1];
  return is_vector ? Nodes{&first, sum} : Nodes{};
}

/// Returns the nodes of these types that follow each other behind `node`, each the only reader of
/// the one before; nothing if there are others. Constants may be among their inputs.
Nodes chain_behind(const Node& node, std::initializer_list<std::string_view> types) {
  Nodes chain;
  for (const std::string_view type : types) {
    const Node* next = sole_reader(chain.empty() ? node : *chain.back(), type);
    if (next == nullptr) return {};
    chain.push_back(next);
  }
  return chain;
}

/// Appends a product with a constant that is the only reader of the last node, if there is one.
void append_weight(Nodes& nodes) {
  const Node* product = sole_reader(*nodes.back(), "Mul");
  if (product != nullptr && has_constant(*product, nodes.back()->output()))
    nodes.push_back(product);
}

/// (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * weight + bias, the last two optional.
Nodes find_layer_norm(const Node& first) {
  if (first.type() != "ReduceMean") return {};
  const Node* centered = sole_reader(first, "Sub");
  if (centered == nullptr || centered->inputs()[0] != first.inputs()[0] ||
      centered->output().uses().size() != 2)
    return {};
  const Node* square = reader(centered->output(), "Pow");
  const Node* quotient = reader(centered->output(), "Div");
  if (square == nullptr || quotient == nullptr) return {};
  const Nodes root = chain_behind(*square, {"ReduceMean", "Add", "Sqrt"});
  if (root.empty() || quotient->inputs()[0] != &centered->output() ||
      quotient->inputs()[1] != &root.back()->output())
    return {};
  Nodes all = {&first, centered, square};
  all.insert(all.end(), root.begin(), root.end());
  all.push_back(quotient);
  append_weight(all);
  if (all.back() == quotient) return all;
  const Node* sum = sole_reader(*all.back(), "Add");
  if (sum != nullptr && has_constant(*sum, all.back()->output())) all.push_back(sum);
  return all;
}

/// x / sqrt(mean(x^2) + epsilon) * weight, or with 1 / sqrt or (...)^-0.5 as a factor; the weight
/// is optional.
Nodes find_rms_norm(const Node& first) {
  const Value* x = first.inputs().empty() ? nullptr : first.inputs()[0];
  const bool is_square = (first.type() == "Pow" && is_about(first.inputs()[1], 2)) ||
                         (first.type() == "Mul" && first.inputs()[1] == x);
  if (!is_square) return {};
  const Nodes mean = chain_behind(first, {"ReduceMean", "Add"});
  if (mean.empty()) return {};
  Nodes all = {&first, mean[0], mean[1]};
  const auto ends_with = [&](const Node* node) {
    if (node != nullptr) all.push_back(node);
    return node != nullptr;
  };
  const auto times_x = [&] {
    const Node* product = sole_reader(*all.back(), "Mul");
    return ends_with(
        product != nullptr && other_input(*product, all.back()->output()) == x ? product : nullptr);
  };
  bool is_found = false;
  if (const Node* power = sole_reader(*mean[1], "Pow"); power && is_about(power->inputs()[1], -0.5))
    is_found = ends_with(power) && times_x();
  if (const Node* root = sole_reader(*mean[1], "Sqrt"); root != nullptr && ends_with(root)) {
    const Node* quotient = sole_reader(*root, "Div");
    if (quotient == nullptr || quotient->inputs()[1] != &root->output()) return {};
    is_found = ends_with(quotient) &&
               (quotient->inputs()[0] == x || (is_about(quotient->inputs()[0], 1) && times_x()));
  }
  if (!is_found) return {};
  append_weight(all);
  return all;
}

constexpr auto kOps = std::to_array<SpelledOutOp>({
    {"LayerNormalization", "LayerNormalization", find_layer_norm},
    {"RMSNormalization", "RMSNormalization", find_rms_norm},
    {"Gemm", "MatmulAdd", find_linear},
    {"Gelu", "", find_gelu},
    {"Swish", "", find_swish},
});

}  // namespace

std::span<const SpelledOutOp> spelled_out_ops() { return kOps; }

std::optional<float> constant_number(const Value& value) {
  const Parameter* parameter = value.parameter();
  if (parameter == nullptr || parameter->role() != Role::buffer || value.shape().numel() != 1)
    return std::nullopt;
  return parameter->value().data()[0];
}

}  // namespace rung::quantsim
