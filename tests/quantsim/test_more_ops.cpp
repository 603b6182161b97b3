#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/ops/arithmetic.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/ops/resize.h"
#include "rung/ops/shape_ops.h"
#include "rung/ptq/prepare.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_net.h"

// What ops that came with ONNX models are to a simulation.

using namespace rung;

namespace {

/// A small decoder: a convolution, pixels repeated and padded, two transposed convolutions, a gate.
Graph decoder() {
  Graph graph;
  const Var x = graph.input("x", {1, 2, 6, 6});
  Var y = nn::relu(nn::conv2d(x, {.out_channels = 4, .kernel = 3}, "conv"), "relu");
  y = nn::zero_pad2d(nn::upsample(y, {.scale = 2.0}, "double"), {.right = 1}, "pad");
  y = nn::conv_transpose2d(y, {.out_channels = 6, .kernel = 2, .stride = 2}, "up");
  const Var gate = nn::sigmoid(nn::mean(y, {.axes = {2, 3}, .keepdims = true}, "mean"), "sigmoid");
  y = nn::mul(y, gate, "gate");
  y = nn::conv_transpose2d(y, {.out_channels = 4, .kernel = 3, .groups = 2}, "grouped");
  graph.set_outputs({nn::identity(y, "same")});
  Rng rng(3);
  for (Parameter* parameter : graph.parameters())
    for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal() * 0.3);
  return graph;
}

}  // namespace

TEST_SUITE("quantsim: more ops") {
  TEST_CASE("weights of ConvTranspose are quantized per output channel, their axis 1") {
    QuantizationSimModel sim(decoder(), {.config_file = "per_channel"});
    calibrate_small_net(sim);
    const Encoding up = sim.quantizer("up.weight").encoding();
    CHECK(up.granularity().axis == 1);
    REQUIRE(up.scale.size() == 6);
    const ConstTensor& weight = sim.graph().parameter("up.weight").value();  // [4, 6, 2, 2]
    for (std::size_t o = 0; o < 6; ++o) {
      float largest = 0.0f;
      for (std::size_t i = 0; i < 4; ++i)
        for (std::size_t k = 0; k < 4; ++k)
          largest = std::max(largest, std::abs(weight.data()[(i * 6 + o) * 4 + k]));
      CHECK(up.scale[o] * 127.5f == doctest::Approx(largest).epsilon(0.01));
    }
    CHECK(sim.quantizer("grouped.weight").encoding().scale.size() == 2);  // of each group
  }

  TEST_CASE("a decoder is simulated close to the original and learns through its quantizers") {
    Graph graph = decoder();
    const Tensor x = random_tensor({4, 2, 6, 6}, 1);
    Executor original(graph);
    const std::vector<float> expected = values(original.forward(x));
    QuantizationSimModel sim(graph.clone(), {.config_file = "per_channel"});
    calibrate_small_net(sim);
    const std::vector<float> got = values(sim.executor().forward(x));
    REQUIRE(got.size() == expected.size());
    double error = 0.0, size = 0.0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      error += std::pow(got[i] - expected[i], 2);
      size += std::pow(expected[i], 2);
    }
    CHECK(error > 0.0);
    CHECK(error < 1e-3 * size);
    const Tensor y = sim.executor().forward(x, Mode::train);
    sim.executor().backward(Tensor::full(y.shape(), 1.0f));
    for (const char* name : {"conv.weight", "up.weight", "up.bias", "grouped.weight"}) {
      CAPTURE(std::string(name));
      double sum = 0.0;
      for (const float g : sim.graph().parameter(name).grad().data()) sum += std::abs(g);
      CHECK(std::isfinite(sum));
      CHECK(sum > 0.0);
    }
  }

  TEST_CASE("ops that only move numbers keep the grid, interpolation does not") {
    for (const char* type : {"Transpose", "Squeeze", "Unsqueeze", "Identity", "Reshape", "Flatten",
                             "MaxPool", "Dropout", "Resize", "Pad"}) {
      CAPTURE(std::string(type));
      CHECK(make_op(type)->traits().grid_preserving());
    }
    for (const char* type : {"Conv", "ConvTranspose", "AveragePool", "ReduceMean", "Add", "Concat",
                             "Clip", "Relu", "MatMul"}) {
      CAPTURE(std::string(type));
      CHECK_FALSE(make_op(type)->traits().grid_preserving());
    }
    Resize linear;
    linear.mode = "linear";
    CHECK_FALSE(linear.traits().grid_preserving());
    Pad ones;
    ones.value = 1.0f;
    CHECK_FALSE(ones.traits().grid_preserving());
    ones.mode = "edge";
    CHECK(ones.traits().grid_preserving());
  }

  TEST_CASE("prepare_model takes Identity away") {
    Graph graph;
    const Var x = graph.input("x", {1, 2});
    graph.set_outputs({nn::relu(nn::identity(x, "same"), "relu")});
    ptq::prepare_model(graph);
    graph.check();
    CHECK(graph.nodes().size() == 1);
  }
}
