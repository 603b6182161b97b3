#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/nn/loss.h"

// One training step on random images, and comparing what came out.

inline rung::Tensor noise(const rung::Shape& shape, std::uint64_t seed) {
  rung::Tensor tensor(shape);
  rung::Rng rng(seed);
  for (float& value : tensor.data()) value = static_cast<float>(rng.normal());
  return tensor;
}

struct StepResult {
  rung::Tensor logits;
  std::map<std::string, rung::Tensor> gradients;
  std::string plan;
};

inline StepResult train_step(rung::Graph& graph, const rung::ExecutorOptions& options,
                             std::int64_t batch = 4) {
  rung::Executor executor(graph, options);
  const rung::Tensor x = noise(graph.inputs()[0]->shape().with(0, batch), 7);
  for (rung::Parameter* parameter : graph.parameters()) parameter->zero_grad();
  StepResult result{executor.forward(x, rung::Mode::train), {}, rung::to_string(executor.plan())};
  std::vector<std::int64_t> labels;
  for (std::int64_t n = 0; n < batch; ++n) labels.push_back(n % result.logits.size(1));
  executor.backward(rung::nn::cross_entropy(result.logits, labels).gradient);
  for (rung::Parameter* parameter : graph.parameters())
    if (parameter->requires_grad()) result.gradients[parameter->name()] = parameter->grad().clone();
  return result;
}

// Largest difference, relative to the largest element.
inline double difference(const rung::Tensor& a, const rung::Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double worst = 0, scale = 1e-30;
  for (std::size_t i = 0; i < a.data().size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(a.data()[i]) - b.data()[i]));
    scale = std::max(scale, std::abs(static_cast<double>(b.data()[i])));
  }
  return worst / scale;
}
