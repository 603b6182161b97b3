#include "rung/ops/layers.h"

#include <optional>
#include <string>

#include "core/check.h"
#include "ops/first_weights.h"
#include "rung/ops/ops.h"

// The layers that own parameters, and the builders of the ops that ops.h declares. The other
// builders stand in the files of their ops.

namespace rung::nn {
namespace {

Var parameter(Var x, std::string_view layer, std::string_view suffix, Shape shape, Role role,
              float value = 0.0f) {
  return x.graph().parameter(fmt::format("{}.{}", layer, suffix),
                             Tensor::full(std::move(shape), value), role);
}

// Adds the op of x and a layer's weight and bias (if it has one), which are drawn.
Var with_weights(Var x, std::unique_ptr<Op> op, Var weight, std::optional<Shape> bias_shape,
                 std::string_view name) {
  if (!bias_shape) {
    const Var y = x.graph().add(std::move(op), {x, weight}, name);
    draw_first_weights(x.graph(), *weight.value().parameter(), nullptr);
    return y;
  }
  const Var bias = parameter(x, name, "bias", *bias_shape, Role::bias);
  const Var y = x.graph().add(std::move(op), {x, weight, bias}, name);
  draw_first_weights(x.graph(), *weight.value().parameter(), bias.value().parameter());
  return y;
}

// Checks what the shape of a weight is made of; the op checks the rest when its node is added.
void require_layer(bool condition, Var x, std::string_view name, std::string_view text) {
  require(condition, "[{}] {}; input {} is {}", x.graph().scoped(name), text, x.name(), x.shape());
}

}  // namespace

Var conv2d(Var x, const Conv2dOptions& options, std::string_view name) {
  require_layer(x.shape().rank() == 4, x, name, "conv2d needs an input [N, C, H, W]");
  require_layer(options.out_channels > 0 && options.kernel > 0, x, name,
                "conv2d needs .out_channels and .kernel of at least 1");
  require_layer(options.groups > 0 && x.channels() % options.groups == 0, x, name,
                fmt::format("conv2d needs input channels that {} groups divide", options.groups));
  auto op = std::make_unique<Conv>();
  op->stride_h = op->stride_w = options.stride;
  op->padding_h = op->padding_w = options.padding;
  op->dilation_h = op->dilation_w = options.dilation;
  op->groups = options.groups;
  const Var weight = parameter(
      x, name, "weight",
      {options.out_channels, x.channels() / options.groups, options.kernel, options.kernel},
      Role::weight);
  const Shape bias{options.out_channels};
  return with_weights(x, std::move(op), weight, options.bias ? std::optional(bias) : std::nullopt,
                      name);
}

Var linear(Var x, const LinearOptions& options, std::string_view name) {
  require_layer(x.shape().rank() == 2, x, name, "linear needs an input [N, I]: flatten it first");
  require_layer(options.out_features > 0, x, name, "linear needs .out_features of at least 1");
  const Var weight =
      parameter(x, name, "weight", {options.out_features, x.shape()[1]}, Role::weight);
  const Shape bias{options.out_features};
  return with_weights(x, std::make_unique<Gemm>(), weight,
                      options.bias ? std::optional(bias) : std::nullopt, name);
}

Var batch_norm2d(Var x, const BatchNorm2dOptions& options, std::string_view name) {
  require_layer(x.shape().rank() == 4, x, name, "batch_norm2d needs an input [N, C, H, W]");
  auto op = std::make_unique<BatchNormalization>();
  op->epsilon = options.epsilon;
  op->momentum = options.momentum;
  const Shape shape{x.channels()};
  const Var weight = parameter(x, name, "weight", shape, Role::norm, 1.0f);
  const Var bias = parameter(x, name, "bias", shape, Role::norm);
  const Var mean = parameter(x, name, "running_mean", shape, Role::buffer);
  const Var var = parameter(x, name, "running_var", shape, Role::buffer, 1.0f);
  return x.graph().add(std::move(op), {x, weight, bias, mean, var}, name);
}

Var relu(Var x, std::string_view name) {
  return x.graph().add(std::make_unique<Relu>(), {x}, name);
}

Var add(Var a, Var b, std::string_view name) {
  return a.graph().add(std::make_unique<Add>(), {a, b}, name);
}

}  // namespace rung::nn
