#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
#include "rung/ops/ops.h"
#include "rung/testing/gradcheck.h"

// One check of gradients for every op: all operands are parameters, the loss is a random weighting
// of the outputs, and central differences of it must agree with what backward computes.

namespace rung::test {

using Operands = std::vector<Var>;
/// Adds the op under test to a graph, given its operands.
using Build = std::function<Var(Graph&, const Operands&)>;

inline Tensor uniform(const Shape& shape, Rng rng, double low = -1.0, double high = 1.0) {
  Tensor tensor(shape);
  for (float& value : tensor.data()) value = static_cast<float>(rng.uniform(low, high));
  return tensor;
}

/// Values at least `gap` away from 0, for ops with a kink there: differences must not cross it.
inline Tensor away_from_zero(const Shape& shape, Rng rng, double gap = 0.1) {
  Tensor tensor = uniform(shape, rng);
  for (float& value : tensor.data()) value += static_cast<float>(value < 0.0f ? -gap : gap);
  return tensor;
}

/// Values that are all at least `gap` apart, for maxima.
inline Tensor distinct(const Shape& shape, Rng rng, double gap = 0.05) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  rng.shuffle(order);
  Tensor tensor(shape);
  for (std::size_t i = 0; i < order.size(); ++i)
    tensor.data()[i] = static_cast<float>(
        gap * (static_cast<double>(order[i]) - static_cast<double>(order.size()) / 2));
  return tensor;
}

/// How an op is run: the same result is expected every time.
struct Setup {
  std::string name;
  ExecutorOptions options;
  bool behind_conv = false;  ///< operands of rank 4 pass an identity convolution, which blocks them
};

inline const std::vector<Setup>& setups() {
  static const std::vector<Setup> all = {
      {"plain", {.layout = LayoutPolicy::plain}, false},
      {"blocked", {.layout = LayoutPolicy::blocked}, false},
      {"blocked operands", {.layout = LayoutPolicy::blocked}, true},
      {"blocked operands, not fused", {.layout = LayoutPolicy::blocked, .fuse = false}, true}};
  return all;
}

/// Adds y = x as a 1x1 convolution whose weight is not trained.
inline Var identity_conv(Graph& graph, Var x, const std::string& name) {
  const std::int64_t channels = x.channels();
  Tensor eye(Shape{channels, channels, 1, 1});
  for (std::int64_t c = 0; c < channels; ++c) eye.data()[c * channels + c] = 1.0f;
  const Var weight = graph.parameter(name + ".weight", eye, Role::weight);
  weight.value().parameter()->set_requires_grad(false);
  return graph.add(std::make_unique<Conv>(), {x, weight}, name);
}

inline Graph graph_of(const std::vector<Tensor>& operands, const Build& build,
                      bool behind_conv = false) {
  Graph graph;
  Operands vars;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const std::string name = "operand" + std::to_string(i);
    vars.push_back(graph.parameter(name, operands[i].clone(), Role::weight));
    if (behind_conv && operands[i].rank() == 4)
      vars.back() = identity_conv(graph, vars.back(), name + ".identity");
  }
  graph.set_outputs({build(graph, vars)});
  graph.check();
  return graph;
}

inline Tensor run(Executor& executor, Mode mode) {
  return executor.forward(std::span<const Tensor>{}, mode).at(0);
}

/// Runs the op once.
inline Tensor evaluate(const std::vector<Tensor>& operands, const Build& build,
                       const Setup& setup = setups()[0], Mode mode = Mode::eval) {
  Graph graph = graph_of(operands, build, setup.behind_conv);
  Executor executor(graph, setup.options);
  return run(executor, mode);
}

/// The largest difference between two tensors, relative to the largest element of the second.
inline double difference(const ConstTensor& a, const ConstTensor& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0.0, scale = 1e-30;
  for (std::int64_t i = 0; i < b.numel(); ++i) {
    const double expected = b.data()[i];
    if (!(std::isfinite(a.data()[i]) && std::isfinite(expected))) return INFINITY;
    largest = std::max(largest, std::abs(a.data()[i] - expected));
    scale = std::max(scale, std::abs(expected));
  }
  return largest / scale;
}

using testing::GradcheckOptions;

/// Compares the gradients of all operands with central differences, in one setup.
inline void gradcheck(const std::vector<Tensor>& operands, const Build& build, const Setup& setup,
                      const GradcheckOptions& options) {
  Graph graph = graph_of(operands, build, setup.behind_conv);
  GradcheckOptions in_setup = options;
  in_setup.executor = setup.options;
  const testing::GradcheckResult result = testing::gradcheck(graph, {}, in_setup);
  CHECK_MESSAGE(result.ok(), result.to_string());
  for (std::size_t k = 0; k < operands.size(); ++k) {
    Parameter& parameter = graph.parameter("operand" + std::to_string(k));
    if (parameter.requires_grad()) CHECK(parameter.has_grad());
  }
}

/// Compares gradients with central differences in every setup.
inline void gradcheck(const std::vector<Tensor>& operands, const Build& build,
                      const GradcheckOptions& options = {}) {
  for (const Setup& setup : setups()) {
    CAPTURE(setup.name);
    gradcheck(operands, build, setup, options);
  }
}

/// Compares the op with its reference in every setup and mode.
inline void check_values(const std::vector<Tensor>& operands, const Build& build,
                         const Tensor& expected, double tolerance = 1e-6) {
  for (const Setup& setup : setups())
    for (const Mode mode : {Mode::eval, Mode::train}) {
      CAPTURE(setup.name);
      CAPTURE(static_cast<int>(mode));
      CHECK(difference(evaluate(operands, build, setup, mode), expected) <= tolerance);
    }
}

}  // namespace rung::test
