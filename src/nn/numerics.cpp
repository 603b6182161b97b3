#include "rung/nn/numerics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "core/check.h"

namespace rung::nn {
namespace {

/// Counts NaN and infinity. Looks at bits, which compilers do for many numbers at a time.
std::int64_t not_finite(std::span<const float> numbers) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::int64_t count = 0;
  for (const float x : numbers) count += (std::bit_cast<std::uint32_t>(x) & kExponent) == kExponent;
  return count;
}

std::string counted(std::span<const float> numbers, std::string_view of) {
  const std::int64_t bad = not_finite(numbers);
  return bad == 0 ? ""
                  : fmt::format("{} of {} numbers of {} are not finite", bad, numbers.size(), of);
}

std::string label(const Node& node) { return fmt::format("{} {}", node.type(), node.name()); }

/// Returns the node that reads a parameter, for messages.
std::string reader(const Value& value) {
  return value.uses().empty() ? "nothing" : label(*value.uses().front().node);
}

std::string not_finite_parameters(const Node& node) {
  for (const Value* input : node.inputs()) {
    const Parameter* parameter = input->parameter();
    if (parameter == nullptr || parameter->role() == Role::buffer) continue;
    const std::string bad = counted(parameter->value().data(), "the parameter " + input->name());
    if (!bad.empty()) return fmt::format("{}: {}", label(node), bad);
  }
  return {};
}

}  // namespace

std::string find_not_finite(const Graph& graph, const Tensor& input, Mode mode) {
  if (const std::string bad = counted(input.data(), "the input"); !bad.empty()) return bad;
  Graph copy = graph.clone();
  Executor executor(copy, {.memory = MemoryPolicy::keep_all, .fuse = false});
  std::vector<std::string> names;
  for (const Node* node : copy.nodes())
    for (const Value* output : node->outputs()) names.push_back(output->name());
  executor.watch(names);
  executor.forward(std::span(&input, 1), mode);
  for (const Node* node : copy.nodes()) {
    if (const std::string bad = not_finite_parameters(*node); !bad.empty()) return bad;
    for (const Value* output : node->outputs()) {
      const Tensor value = executor.value(output->name());
      const std::string bad = counted(value.data(), "its output");
      if (!bad.empty())
        return fmt::format("{}: {}; its inputs and parameters are", label(*node), bad);
    }
  }
  return {};
}

std::string find_not_finite_gradient(const Graph& graph) {
  std::vector<Node*> nodes = graph.nodes();
  std::ranges::reverse(nodes);  // the order in which gradients are computed
  for (const Node* node : nodes)
    for (const Value* input : node->inputs()) {
      Parameter* parameter = input->parameter();
      if (parameter == nullptr || !parameter->has_grad()) continue;
      const std::string bad =
          counted(parameter->grad().data(), "the gradient of " + parameter->name());
      if (!bad.empty()) return fmt::format("{}: {}", label(*node), bad);
    }
  return {};
}

std::string find_not_finite_parameter(const Graph& graph) {
  for (const Value* value : graph.values()) {
    if (value->parameter() == nullptr) continue;
    const std::string bad = counted(value->parameter()->value().data(), value->name());
    if (!bad.empty()) return fmt::format("{}: {}", reader(*value), bad);
  }
  return {};
}

double clip_grad_norm(const std::vector<Parameter*>& parameters, double max_norm) {
  require(max_norm > 0 && std::isfinite(max_norm),
          "clip_grad_norm: max_norm must be positive and finite, got {}", max_norm);
  double squares = 0.0;
  for (Parameter* parameter : parameters) {
    if (!parameter->has_grad()) continue;
    double sum = 0.0;
    for (const float g : parameter->grad().data()) sum += static_cast<double>(g) * g;
    squares += sum;
  }
  const double norm = std::sqrt(squares);
  if (norm <= max_norm || !std::isfinite(norm)) return norm;
  const auto factor = static_cast<float>(max_norm / norm);
  for (Parameter* parameter : parameters)
    if (parameter->has_grad())
      for (float& g : parameter->grad().data()) g *= factor;
  return norm;
}

}  // namespace rung::nn
