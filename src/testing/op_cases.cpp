#include "rung/testing/op_cases.h"

#include <utility>

#include "rung/ops/activations.h"
#include "rung/ops/arithmetic.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/functions.h"
#include "rung/ops/layers.h"
#include "rung/ops/norm.h"
#include "rung/ops/pool.h"
#include "rung/ops/recurrent.h"
#include "rung/ops/resize.h"
#include "rung/ops/shape_ops.h"

namespace rung::testing {
namespace {

using Inputs = std::span<const Var>;
using Build = std::function<Var(Inputs)>;

const Shape kImages{2, 4, 6, 6}, kManyImages{16, 64, 28, 28};
const Shape kRows{3, 10}, kManyRows{256, 1024};
const Shape kSteps{4, 2, 3}, kManySteps{32, 16, 128};  // [T, N, I]

// ---- rows of which there are many

OpCase images(std::string name, Numbers numbers, Build build) {
  return {.name = std::move(name),
          .build = std::move(build),
          .inputs = {kImages},
          .large = {kManyImages},
          .numbers = numbers};
}

OpCase two_images(std::string name, Numbers numbers, Build build) {
  return {.name = std::move(name),
          .build = std::move(build),
          .inputs = {kImages, kImages},
          .large = {kManyImages, kManyImages},
          .numbers = numbers};
}

OpCase rows(std::string name, Build build) {
  return {
      .name = std::move(name), .build = std::move(build), .inputs = {kRows}, .large = {kManyRows}};
}

OpCase recurrent(const std::string& cell) {
  return {.name = cell,
          .build =
              [cell](Inputs x) {
                return nn::recurrent(x[0], {.cell = cell, .hidden_size = x[0].shape()[2]}, "op");
              },
          .inputs = {kSteps},
          .large = {kManySteps}};
}

OpCase unary(const std::string& f, Numbers numbers = Numbers::any) {
  return images(f, numbers, [f](Inputs x) { return nn::unary(x[0], f, "op"); });
}

OpCase binary(const std::string& f, Numbers numbers = Numbers::distinct) {
  return two_images(f, numbers, [f](Inputs x) { return nn::binary(x[0], x[1], f, "op"); });
}

OpCase reduction(const std::string& f, Numbers numbers = Numbers::any) {
  return images(f, numbers, [f](Inputs x) {
    return nn::reduce(x[0], f, {.axes = {1, 3}, .keepdims = true}, "op");
  });
}

OpCase jumping(OpCase op) {
  op.smooth = false;
  return op;
}

OpCase within(double tolerance, OpCase op) {
  op.tolerance = tolerance;
  return op;
}

// ---- the table

std::vector<OpCase> layers() {
  return {
      images("Conv", Numbers::any,
             [](Inputs x) {
               return nn::conv2d(x[0], {.out_channels = x[0].channels(), .kernel = 3, .padding = 1},
                                 "op");
             }),
      images("Conv, groups", Numbers::any,
             [](Inputs x) {
               return nn::conv2d(x[0],
                                 {.out_channels = 2 * x[0].channels(),
                                  .kernel = 3,
                                  .stride = 2,
                                  .groups = x[0].channels(),
                                  .bias = false},
                                 "op");
             }),
      images("ConvTranspose", Numbers::any,
             [](Inputs x) {
               return nn::conv_transpose2d(
                   x[0], {.out_channels = x[0].channels(), .kernel = 2, .stride = 2, .groups = 2},
                   "op");
             }),
      rows("Gemm",
           [](Inputs x) { return nn::linear(x[0], {.out_features = x[0].shape()[1] + 2}, "op"); }),
      rows("MatMul",
           [](Inputs x) {
             const std::int64_t size = x[0].shape()[1];
             const Var weight =
                 x[0].graph().parameter("op.weight", Tensor({size, size}), Role::weight);
             return nn::matmul(x[0], weight, "op");
           }),
      OpCase{.name = "MatMul, two inputs",
             .build = [](Inputs x) { return nn::matmul(x[0], x[1], "op"); },
             .inputs = {{2, 3, 4}, {2, 4, 5}},
             .large = {{16, 128, 128}, {16, 128, 128}}},
      recurrent("GRU"),
      recurrent("LSTM"),
      recurrent("RNN"),
  };
}

std::vector<OpCase> norms() {
  return {
      within(5e-3, images("BatchNormalization", Numbers::any,
                          [](Inputs x) { return nn::batch_norm2d(x[0], {}, "op"); })),
      within(5e-3, images("GroupNormalization", Numbers::any,
                          [](Inputs x) { return nn::group_norm(x[0], {.groups = 2}, "op"); })),
      within(5e-3, images("InstanceNormalization", Numbers::any,
                          [](Inputs x) { return nn::instance_norm(x[0], {}, "op"); })),
      within(5e-3, images("LayerNormalization", Numbers::any,
                          [](Inputs x) { return nn::layer_norm(x[0], {}, "op"); })),
      rows("LogSoftmax", [](Inputs x) { return nn::log_softmax(x[0], {}, "op"); }),
      rows("Softmax", [](Inputs x) { return nn::softmax(x[0], {}, "op"); }),
  };
}

std::vector<OpCase> activations() {
  return {
      images("Clip", Numbers::away_from_zero,
             [](Inputs x) { return nn::clip(x[0], {.min = 0.0f, .max = 6.0f}, "op"); }),
      jumping(
          images("Dropout", Numbers::any, [](Inputs x) { return nn::dropout(x[0], {}, "op"); })),
      images("Elu", Numbers::away_from_zero, [](Inputs x) { return nn::elu(x[0], {}, "op"); }),
      images("HardSigmoid", Numbers::any, [](Inputs x) { return nn::hardsigmoid(x[0], {}, "op"); }),
      images("HardSwish", Numbers::any, [](Inputs x) { return nn::hardswish(x[0], "op"); }),
      images("LeakyRelu", Numbers::away_from_zero,
             [](Inputs x) { return nn::leaky_relu(x[0], {}, "op"); }),
      images("PRelu", Numbers::away_from_zero,
             [](Inputs x) { return nn::prelu(x[0], {.channels = x[0].channels()}, "op"); }),
      images("Relu", Numbers::away_from_zero, [](Inputs x) { return nn::relu(x[0], "op"); }),
      images("Shrink", Numbers::away_from_zero,
             [](Inputs x) { return nn::shrink(x[0], {.lambda = 0.05f, .bias = 0.05f}, "op"); }),
      images("Sigmoid", Numbers::any, [](Inputs x) { return nn::sigmoid(x[0], "op"); }),
      images("Tanh", Numbers::any, [](Inputs x) { return nn::tanh(x[0], "op"); }),
  };
}

std::vector<OpCase> arithmetic() {
  return {
      two_images("Add", Numbers::any, [](Inputs x) { return nn::add(x[0], x[1], "op"); }),
      two_images("Div", Numbers::positive, [](Inputs x) { return nn::div(x[0], x[1], "op"); }),
      two_images("Mul", Numbers::any, [](Inputs x) { return nn::mul(x[0], x[1], "op"); }),
      OpCase{.name = "Mul, one per channel",
             .build = [](Inputs x) { return nn::mul(x[0], x[1], "op"); },
             .inputs = {kImages, {2, 4, 1, 1}},
             .large = {kManyImages, {16, 64, 1, 1}}},
      two_images("Sub", Numbers::any, [](Inputs x) { return nn::sub(x[0], x[1], "op"); }),
      two_images("Where", Numbers::distinct,
                 [](Inputs x) {
                   return nn::where(nn::binary(x[0], x[1], "Greater", "larger"), x[0], x[1], "op");
                 }),
      binary("And", Numbers::away_from_zero),
      binary("Or", Numbers::away_from_zero),
      binary("Xor", Numbers::away_from_zero),
      binary("Equal"),
      binary("Greater"),
      binary("GreaterOrEqual"),
      binary("Less"),
      binary("LessOrEqual"),
      binary("Max"),
      binary("Min"),
      binary("Pow", Numbers::positive),
  };
}

std::vector<OpCase> functions() {
  return {
      unary("Acos"),
      unary("Asin"),
      unary("Asinh"),
      unary("Atan"),
      unary("Atanh"),
      unary("Cos"),
      unary("Cosh"),
      unary("Erf"),
      unary("Exp"),
      unary("Gelu"),
      unary("IsInf"),
      unary("IsNaN"),
      unary("Mish"),
      unary("Neg"),
      unary("Sin"),
      unary("Sinh"),
      unary("Softplus"),
      unary("Tan"),
      unary("Abs", Numbers::away_from_zero),
      unary("Celu", Numbers::away_from_zero),
      unary("Not", Numbers::away_from_zero),
      unary("Selu", Numbers::away_from_zero),
      unary("Sign", Numbers::away_from_zero),
      unary("Softsign", Numbers::away_from_zero),
      unary("Log", Numbers::positive),
      unary("Reciprocal", Numbers::positive),
      unary("Sqrt", Numbers::positive),
      unary("Acosh", Numbers::above_one),
      unary("ThresholdedRelu", Numbers::above_one),
      jumping(unary("Ceil")),
      jumping(unary("Floor")),
      jumping(unary("Round")),
  };
}

std::vector<OpCase> reductions() {
  return {
      images("AveragePool", Numbers::any,
             [](Inputs x) {
               return nn::avg_pool2d(x[0], {.kernel = 3, .stride = 2, .padding = 1}, "op");
             }),
      images("GlobalAveragePool", Numbers::any,
             [](Inputs x) { return nn::global_avg_pool(x[0], "op"); }),
      images("MaxPool", Numbers::distinct,
             [](Inputs x) {
               return nn::max_pool2d(x[0], {.kernel = 3, .stride = 2, .padding = 1}, "op");
             }),
      images("ReduceMean", Numbers::any,
             [](Inputs x) {
               return nn::mean(x[0], {.axes = {2, 3}}, "op");
             }),
      reduction("ReduceL2"),
      reduction("ReduceLogSumExp"),
      reduction("ReduceSum"),
      reduction("ReduceSumSquare"),
      reduction("ReduceL1", Numbers::away_from_zero),
      reduction("ReduceMax", Numbers::distinct),
      reduction("ReduceMin", Numbers::distinct),
      reduction("ReduceLogSum", Numbers::positive),
      reduction("ReduceProd", Numbers::positive),
  };
}

std::vector<OpCase> shapes() {
  return {
      two_images("Concat", Numbers::any,
                 [](Inputs x) {
                   return nn::concat({x[0], x[1]}, {.axis = 1}, "op");
                 }),
      OpCase{.name = "Expand",
             .build =
                 [](Inputs x) {
                   return nn::expand(x[0], {1, 1, 3, 5}, "op");
                 },
             .inputs = {{2, 4, 1, 1}},
             .large = {{64, 512, 1, 1}}},
      images("Flatten", Numbers::any, [](Inputs x) { return nn::flatten(x[0], "op"); }),
      images("Gather", Numbers::any,
             [](Inputs x) {
               return nn::gather(x[0], {.axis = 1, .indices = {3, 0, 0}}, "op");
             }),
      images("Identity", Numbers::any, [](Inputs x) { return nn::identity(x[0], "op"); }),
      images("Pad", Numbers::any,
             [](Inputs x) { return nn::zero_pad2d(x[0], {.left = 1, .bottom = 2}, "op"); }),
      images("Reshape", Numbers::any,
             [](Inputs x) {
               return nn::reshape(x[0], {0, -1, x[0].shape()[3]}, "op");
             }),
      images("Resize", Numbers::any,
             [](Inputs x) { return nn::upsample(x[0], {.scale = 2.0}, "op"); }),
      images("Resize, bilinear", Numbers::any,
             [](Inputs x) {
               return nn::upsample(x[0], {.scale = 2.0, .mode = nn::UpsampleMode::bilinear}, "op");
             }),
      OpCase{.name = "Squeeze",
             .build = [](Inputs x) { return nn::squeeze(x[0], {2}, "op"); },
             .inputs = {{2, 4, 1, 6}},
             .large = {{16, 64, 1, 784}}},
      images("Transpose", Numbers::any,
             [](Inputs x) {
               return nn::transpose(x[0], {0, 2, 3, 1}, "op");
             }),
      images("Unsqueeze", Numbers::any, [](Inputs x) { return nn::unsqueeze(x[0], {2}, "op"); }),
  };
}

}  // namespace

std::string_view OpCase::type() const {
  return std::string_view(name).substr(0, std::string_view(name).find(','));
}

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> cases = [] {
    std::vector<OpCase> all;
    for (const auto family :
         {layers, norms, activations, arithmetic, functions, reductions, shapes})
      for (OpCase& op : family()) all.push_back(std::move(op));
    return all;
  }();
  return cases;
}

}  // namespace rung::testing
