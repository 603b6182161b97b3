#pragma once

#include <string>

#include "ops/elementwise/families.h"
#include "rung/rung.h"

/// Adds every member of every family of functions; all of them are made of values around a half.
inline rung::Var every_function(rung::Var x, int opset) {
  using namespace rung;
  const Var half = nn::sigmoid(x, "half");
  Var sum = half;
  for (const FamilyMember& each : unary_functions()) {
    const std::string type(each.type);
    if ((type == "Gelu" && opset < 20) || (type == "Mish" && opset < 18)) continue;
    const Var from = type == "Acosh" ? nn::unary(half, "Exp", "above_1") : half;
    sum = nn::add(sum, nn::unary(from, type, type), type + ".sum");
  }
  for (const FamilyMember& each : binary_functions()) {
    const std::string type(each.type);
    sum = nn::add(sum, nn::binary(half, nn::unary(half, "Sqrt", type + ".root"), type, type),
                  type + ".sum");
  }
  for (const FamilyMember& each : reductions()) {
    const std::string type(each.type);
    sum =
        nn::add(sum, nn::reduce(half, type, {.axes = {1}, .keepdims = true}, type), type + ".sum");
  }
  const Var larger = nn::binary(sum, half, "Greater", "larger");
  return nn::unary(nn::where(larger, half, sum, "where"), "Softsign", "bounded");
}

/// Adds norms of one image, and what repeats tensors or takes parts of them.
inline rung::Var every_norm(rung::Var x, int opset) {
  using namespace rung;
  x = nn::instance_norm(x, {}, "instance_norm");
  if (opset >= 17) x = nn::layer_norm(x, {}, "layer_norm");
  if (opset >= 21) x = nn::group_norm(x, {.groups = 2}, "group_norm");
  const Var token =
      x.graph().parameter("token", Tensor(Shape{1, x.channels(), 1, 1}), Role::weight);
  const Var tokens = nn::expand(token, x, {0, 1, 1, 1}, "expand_batch");
  x = nn::mul(x, nn::expand(tokens, {1, 1, 1, x.shape()[3]}, "expand"), "scaled");
  return nn::gather(x, {.axis = 1, .indices = {3, 2, 1, 0}}, "gather");
}

/// Adds every recurrent cell, over the pixels of [N, C, H, W]: the last state of each.
inline rung::Var every_recurrence(rung::Var x) {
  using namespace rung;
  const std::int64_t channels = x.channels(), pixels = x.shape()[2] * x.shape()[3];
  x = nn::transpose(nn::reshape(x, {0, channels, pixels}, "pixels"), {2, 0, 1}, "steps");
  for (const char* cell : {"GRU", "LSTM", "RNN"}) {
    const std::string name(cell);
    x = nn::recurrent(x, {.cell = name, .hidden_size = channels, .relu = true}, name);
    x = nn::squeeze(x, {1}, name + ".squeezed");  // [T, N, H]
  }
  x = nn::gather(x, {.indices = {-1}, .keepdims = false}, "last_step");
  return nn::unsqueeze(x, {2, 3}, "last_state");  // [N, C, 1, 1]
}

/// A network [N, 4, 8, 8] -> [N, 4], [N, 8, 7, 5] with every op that files of this opset may
/// contain, but for quantizers and what batch norms folded in simulation consist of. Random
/// weights; values stay around 1.
inline rung::Graph every_op(int opset = 21) {
  using namespace rung;
  Graph graph;
  const Var x = graph.input("x", {2, 4, 8, 8});
  // Convolutions and pooling
  Var y = nn::conv2d(x, {.out_channels = 6, .kernel = 3, .padding = 1}, "conv");
  y = nn::batch_norm2d(y, {.epsilon = 1e-3f}, "bn");
  y = nn::leaky_relu(y, {.alpha = 0.1f}, "leaky_relu");
  y = nn::prelu(y, {.channels = 6}, "prelu");
  y = nn::conv_transpose2d(
      y,
      {.out_channels = 4, .kernel = 3, .stride = 2, .padding = 1, .output_padding = 1, .groups = 2},
      "conv_transpose");  // [N, 4, 16, 16]
  y = nn::max_pool2d(y, {.kernel = 3, .stride = 2, .padding = 1}, "max_pool");
  Var z = nn::avg_pool2d(x, {.kernel = 3, .stride = 1, .padding = 1, .count_include_pad = false},
                         "avg_pool");
  // Arithmetic, with operands that are repeated
  Var gate = nn::hardsigmoid(nn::global_avg_pool(x, "gap"), {}, "hard_sigmoid");  // [N, 4, 1, 1]
  y = nn::mul(y, gate, "mul");
  y = nn::sub(y, nn::tanh(z, "tanh"), "sub");
  z = nn::elu(nn::hardswish(z, "hard_swish"), {.alpha = 0.5f}, "elu");
  y = nn::add(every_norm(y, opset), every_function(z, opset), "add");
  y = nn::mul(y, every_recurrence(x), "mul_recurrence");
  const Var two = graph.parameter("two", Tensor::full({1}, 2.0f), Role::buffer);
  y = nn::div(y, two, "div");
  y = nn::concat({y, nn::relu(y, "relu")}, {}, "concat");  // [N, 8, 8, 8]
  // Pixels
  y = nn::zero_pad2d(y, {.left = 1, .bottom = 2}, "pad");  // [N, 8, 10, 9]
  y = nn::upsample(y, {.scale = 2.0, .mode = nn::UpsampleMode::bilinear}, "resize_scale");
  y = nn::upsample(y, {.sizes = {7, 5}}, "resize_sizes");  // [N, 8, 7, 5]
  const Var pixels = y;
  // Shapes
  y = nn::transpose(y, {0, 2, 3, 1}, "transpose");                // [N, 7, 5, 8]
  y = nn::mean(y, {.axes = {1}}, "mean");                         // [N, 5, 8]
  y = nn::mean(y, {.axes = {1}, .keepdims = true}, "mean_kept");  // [N, 1, 8]
  y = nn::identity(nn::squeeze(y, {1}, "squeeze"), "identity");   // [N, 8]
  y = nn::unsqueeze(y, {1}, "unsqueeze");                         // [N, 1, 8]
  const Var matrix = graph.parameter("matrix", Tensor({8, 6}), Role::weight);
  y = nn::matmul(y, matrix, "matmul");  // [N, 1, 6]
  y = nn::reshape(y, {0, -1}, "reshape");
  y = nn::dropout(nn::sigmoid(y, "sigmoid"), {}, "dropout");
  y = nn::clip(nn::flatten(y, "flatten"), {.min = 0.1f, .max = 0.7f}, "clip");
  y = nn::linear(y, {.out_features = 4}, "fc");
  y = nn::log_softmax(y, {.axis = 1}, "log_softmax");
  graph.set_outputs({nn::softmax(y, {}, "softmax"), pixels});

  Rng rng(11);
  for (Parameter* parameter : graph.parameters())
    if (parameter->role() != Role::buffer)
      for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal() * 0.5);
  return graph;
}
