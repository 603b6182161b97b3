#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/elementwise/families.h"
#include "rung/graph/graph.h"
#include "rung/ops/activations.h"
#include "rung/ops/arithmetic.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/functions.h"
#include "rung/ops/layers.h"
#include "rung/ops/norm.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/ops/recurrent.h"
#include "rung/ops/resize.h"
#include "rung/ops/shape_ops.h"

namespace iotest {

/// Fills every parameter with numbers of its own.
inline void fill(rung::Graph& graph) {
  float next = 0.25f;
  for (rung::Parameter* parameter : graph.parameters())
    for (float& value : parameter->edit().data()) value = next += 0.125f;
}

/// A small residual network with names as in PyTorch.
inline rung::Graph small_network() {
  using namespace rung;
  Graph graph;
  Var x = graph.input("input", {1, 3, 8, 8});
  x = nn::conv2d(x, {.out_channels = 4, .kernel = 3, .padding = 1, .bias = false}, "conv1");
  x = nn::relu(nn::batch_norm2d(x, {.epsilon = 1e-3f}, "bn1"), "relu");
  {
    const Scope scope(graph, "layer1.0");
    Var y = nn::conv2d(x, {.out_channels = 4, .kernel = 3, .padding = 1}, "conv1");
    x = nn::add(y, x, "add");
  }
  x = nn::flatten(nn::global_avg_pool(x, "avgpool"), "flatten");
  x = nn::linear(x, {.out_features = 5}, "fc");
  graph.set_outputs({x});
  fill(graph);
  return graph;
}

/// Adds what networks from elsewhere have: images [N, C, H, W] -> [N, 8].
inline rung::Var imported_ops(rung::Var x) {
  using namespace rung;
  x = nn::zero_pad2d(nn::identity(x, "identity"), {.left = 1, .bottom = 2}, "pad");
  x = nn::upsample(x, {.scale = 1.5, .mode = nn::UpsampleMode::bilinear}, "up");
  x = nn::conv_transpose2d(
      x, {.out_channels = 6, .kernel = 3, .stride = 2, .output_padding = 1, .groups = 2}, "deconv");
  x = nn::hardsigmoid(nn::hardswish(x, "hardswish"), {.alpha = 0.3f}, "hardsigmoid");
  x = nn::elu(nn::tanh(x, "tanh"), {.alpha = 0.7f}, "elu");
  x = nn::log_softmax(x, {.axis = 1}, "log_softmax");
  x = nn::mean(nn::transpose(x, {0, 2, 3, 1}, "transpose"), {.axes = {1, 2}}, "mean");
  x = nn::squeeze(nn::unsqueeze(x, {1, 3}, "unsqueeze"), {1, -1}, "squeeze");
  const Var table = x.graph().parameter("table", Tensor(Shape{6, 8}), Role::weight);
  const Var scale = x.graph().parameter("scale", Tensor(Shape{8}), Role::weight);
  return nn::div(nn::matmul(x, table, "matmul"), scale, "div");
}

/// Every function, norm and op that repeats tensors or takes parts of them.
inline rung::Var functions(rung::Var x) {
  using namespace rung;
  for (const auto* family : {&unary_functions(), &binary_functions(), &reductions()})
    for (const FamilyMember& each : *family) {
      const std::string type(each.type);
      if (family == &unary_functions())
        x = nn::unary(x, type, type);
      else if (family == &binary_functions())
        x = nn::binary(x, x, type, type);
      else
        x = nn::add(x, nn::reduce(x, type, {.axes = {-1}, .keepdims = true}, type), type + ".sum");
    }
  x = nn::where(nn::binary(x, x, "Less", "less"), x, x, "where");
  x = nn::group_norm(nn::instance_norm(x, {}, "instance_norm"), {.groups = 2}, "group_norm");
  x = nn::layer_norm(x, {.axis = 1}, "layer_norm");
  Var states = nn::reshape(x, {4, 2, 16}, "steps");
  for (const char* cell : {"GRU", "LSTM", "RNN"}) {
    const std::string name(cell);
    states = nn::recurrent(states, {.cell = name, .hidden_size = 16}, name);
    states = nn::squeeze(states, {1}, name + ".squeezed");
  }
  x = nn::add(x, nn::reshape(states, {2, 4, 4, 4}, "states"), "recurrent");
  return nn::gather(nn::expand(x, {1, 1, 1, 1}, "expand"), {.axis = 2, .indices = {0, 1, 2, 3}},
                    "gather");
}

/// A network with a node of every kind and two outputs.
inline rung::Graph every_op() {
  using namespace rung;
  Graph graph;
  Var x = graph.input("input", {2, 4, 8, 8});
  Var other = graph.input("other", {2, 4, 4, 4});
  Var y = nn::conv2d(x, {.out_channels = 4, .kernel = 3, .stride = 2, .padding = 1, .groups = 2},
                     "conv");
  y = nn::leaky_relu(nn::batch_norm2d(y, {.momentum = 0.05f}, "bn"), {.alpha = 0.2f}, "leaky");
  y = nn::prelu(y, {.channels = 4}, "prelu");
  y = nn::mul(nn::sigmoid(y, "sigmoid"), nn::add(y, other, "add"), "mul");
  y = nn::add(y, functions(y), "functions");
  Var z = nn::concat({nn::clip(y, {.min = -0.5f, .max = 6.25f}, "clip"), nn::relu(y, "relu")}, {},
                     "concat");
  Var a = nn::max_pool2d(z, {.kernel = 3, .stride = 1, .padding = 1}, "max");
  a = nn::avg_pool2d(a, {.kernel = 2, .count_include_pad = false}, "average");
  a = nn::reshape(a, {2, 32}, "reshape");
  a = nn::softmax(nn::linear(nn::dropout(a, {.ratio = 0.3f}, "dropout"), {.out_features = 3}, "fc"),
                  {}, "softmax");
  Var b = nn::flatten(nn::global_avg_pool(z, "global"), "flatten");
  b = nn::sub(b, imported_ops(z), "sub");
  graph.set_outputs({b, a});
  fill(graph);
  Value &gamma = graph.value("bn.weight"), &beta = graph.value("bn.bias"),
        &mean = graph.value("bn.running_mean"), &variance = graph.value("bn.running_var"),
        &bias = graph.value("conv.bias");
  graph.insert_after(graph.value("conv.weight"), std::make_unique<FoldedWeight>(),
                     std::vector{&gamma, &variance}, "conv.weight.folded");
  graph.insert_after(bias, std::make_unique<FoldedBias>(),
                     std::vector{&gamma, &beta, &mean, &variance}, "conv.bias.folded");
  graph.insert_after(graph.value("conv"), std::make_unique<FoldedBatchNormalization>(),
                     std::vector{&gamma, &beta, &mean, &variance, &bias}, "conv.normalized");
  auto quantizer = std::make_unique<QuantizeDequantize>();
  const std::vector<Value*> extra =
      add_quantizer_parameters(graph, quantizer->quantizer(), "conv.qdq");
  graph.insert_after(graph.value("conv"), std::move(quantizer), extra, "conv.qdq");
  graph.parameter("conv.weight").set_requires_grad(false);
  return graph;
}

}  // namespace iotest
