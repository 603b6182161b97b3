// Graphs of the cases, and the numbers that they are fed.

#include <cmath>

#include "core/check.h"
#include "rung/testing/op_cases.h"

namespace rung::testing {
namespace {

Tensor uniform(const Shape& shape, Rng& rng, double low, double high) {
  Tensor tensor(shape);
  for (float& value : tensor.data()) value = static_cast<float>(rng.uniform(low, high));
  return tensor;
}

Tensor away_from_zero(const Shape& shape, Rng& rng) {
  Tensor tensor = uniform(shape, rng, 0.1, 0.9);
  for (float& value : tensor.data())
    if (rng.uniform(-1.0, 1.0) < 0.0) value = -value;
  return tensor;
}

/// The multiples of a gap around 0 in any order, moved by a part of it that differs from input to
/// input.
std::vector<Tensor> distinct(std::span<const Shape> shapes, Rng& rng) {
  constexpr double kGap = 0.05;
  std::vector<Tensor> tensors;
  for (const Shape& shape : shapes) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(shape.numel()));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
    rng.shuffle(order);
    const double shift = static_cast<double>(tensors.size()) / static_cast<double>(shapes.size());
    const double middle = static_cast<double>(order.size()) / 2;
    Tensor& tensor = tensors.emplace_back(shape);
    for (std::size_t i = 0; i < order.size(); ++i)
      tensor.data()[i] =
          static_cast<float>(kGap * (static_cast<double>(order[i]) - middle + shift));
  }
  return tensors;
}

}  // namespace

Graph graph_of(const OpCase& op, std::span<const Shape> shapes) {
  Graph graph;
  std::vector<Var> inputs;
  for (std::size_t i = 0; i < shapes.size(); ++i)
    inputs.push_back(graph.input(fmt::format("x{}", i), shapes[i]));
  graph.set_outputs({op.build(inputs)});
  Rng rng(3);
  for (Parameter* parameter : graph.parameters()) {
    if (parameter->role() == Role::buffer) continue;
    const double fan_in = static_cast<double>(parameter->value().numel()) /
                          static_cast<double>(parameter->shape()[0]);
    for (float& value : parameter->edit().data())
      value = static_cast<float>(rng.normal() / std::sqrt(fan_in));
  }
  return graph;
}

std::vector<Tensor> numbers_of(const OpCase& op, std::span<const Shape> shapes, Rng rng) {
  if (op.numbers == Numbers::distinct) return distinct(shapes, rng);
  std::vector<Tensor> tensors;
  for (const Shape& shape : shapes) switch (op.numbers) {
      case Numbers::any:
        tensors.push_back(uniform(shape, rng, -0.7, 0.7));
        break;
      case Numbers::away_from_zero:
        tensors.push_back(away_from_zero(shape, rng));
        break;
      case Numbers::positive:
        tensors.push_back(uniform(shape, rng, 0.5, 1.5));
        break;
      case Numbers::above_one:
        tensors.push_back(uniform(shape, rng, 1.5, 2.5));
        break;
      case Numbers::distinct:
        break;
    }
  return tensors;
}

}  // namespace rung::testing
