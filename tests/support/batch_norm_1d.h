#pragma once

#include <memory>
#include <string_view>

#include "rung/ops/layers.h"
#include "rung/ops/ops.h"

/// Adds a batch norm of x [N, C], as torch.nn.BatchNorm1d; parameters are the identity.
inline rung::Var batch_norm1d(rung::Var x, const rung::nn::BatchNorm2dOptions& options,
                              std::string_view name) {
  using namespace rung;
  Graph& graph = x.graph();
  const Shape shape{x.channels()};
  const auto parameter = [&](const char* key, float value, Role role) {
    const Scope scope(graph, name);
    return graph.parameter(key, Tensor::full(shape, value), role);
  };
  const Var weight = parameter("weight", 1, Role::norm), bias = parameter("bias", 0, Role::norm);
  const Var mean = parameter("running_mean", 0, Role::buffer);
  const Var variance = parameter("running_var", 1, Role::buffer);
  auto op = std::make_unique<BatchNormalization>();
  op->epsilon = options.epsilon;
  op->momentum = options.momentum;
  return graph.add(std::move(op), {x, weight, bias, mean, variance}, name);
}
