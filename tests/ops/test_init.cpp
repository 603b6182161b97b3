// The weights that layers begin with, and how others are chosen.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "rung/exec/executor.h"
#include "rung/models.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/init.h"
#include "rung/ops/layers.h"
#include "rung/ops/recurrent.h"

using namespace rung;

namespace {

Graph network(std::optional<std::uint64_t> seed) {
  Graph graph;
  graph.set_seed(seed);
  Var x = graph.input("x", {1, 8, 6, 6});
  x = nn::conv2d(x, {.out_channels = 32, .kernel = 3, .groups = 2}, "conv");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn"), "relu");
  x = nn::conv_transpose2d(x, {.out_channels = 16, .kernel = 2}, "up");
  graph.set_outputs({nn::linear(nn::flatten(x, "flatten"), {.out_features = 64}, "fc")});
  return graph;
}

/// Checks that a tensor is uniform in +-bound: its largest element and its deviation.
void check_uniform(const ConstTensor& tensor, double bound) {
  double largest = 0, squares = 0;
  for (const float value : tensor.data()) {
    largest = std::max(largest, std::abs(double{value}));
    squares += double{value} * value;
  }
  const double count = static_cast<double>(tensor.numel());
  CHECK(largest <= bound);
  CHECK(largest >= 0.8 * bound);
  CHECK(std::sqrt(squares / count) == doctest::Approx(bound / std::sqrt(3.0)).epsilon(0.25));
}

bool all_equal(const ConstTensor& tensor, float value) {
  return std::ranges::all_of(tensor.data(), [=](float each) { return each == value; });
}

}  // namespace

TEST_SUITE("ops: initial weights") {
  TEST_CASE("layers begin with PyTorch's weights, nothing has to be called") {
    const Graph graph = network(0);
    const auto value = [&](const char* name) { return graph.parameter(name).value(); };
    check_uniform(value("conv.weight"), 1 / std::sqrt(4.0 * 9));
    check_uniform(value("conv.bias"), 1 / std::sqrt(4.0 * 9));
    check_uniform(value("up.weight"), 1 / std::sqrt(16.0 * 4));
    check_uniform(value("up.bias"), 1 / std::sqrt(16.0 * 4));
    check_uniform(value("fc.weight"), 1 / std::sqrt(16.0 * 25));
    check_uniform(value("fc.bias"), 1 / std::sqrt(16.0 * 25));
    CHECK(all_equal(value("bn.weight"), 1));
    CHECK(all_equal(value("bn.bias"), 0));
    CHECK(all_equal(value("bn.running_var"), 1));
  }

  TEST_CASE("recurrent cells begin with PyTorch's weights, too") {
    Graph graph;
    const Var x = graph.input("x", {5, 1, 8});
    graph.set_outputs({nn::recurrent(x, {.cell = "LSTM", .hidden_size = 16}, "cell")});
    Graph again = graph.clone();
    nn::init_parameters(again, Rng(0).split("init"));
    for (const char* name : {"cell.weight", "cell.recurrence", "cell.bias"}) {
      check_uniform(graph.parameter(name).value(), 1 / std::sqrt(16.0));
      CHECK(equal(graph.parameter(name).value(), again.parameter(name).value()));
    }
  }

  TEST_CASE("the graph's seed chooses them, and is copied with it") {
    const Graph graph = network(0), same = network(0), other = network(1);
    for (const Parameter* each : graph.parameters())
      CHECK(equal(each->value(), same.parameter(each->name()).value()));
    for (const char* name : {"conv.weight", "conv.bias", "up.weight", "fc.weight", "fc.bias"})
      CHECK_FALSE(equal(graph.parameter(name).value(), other.parameter(name).value()));
    CHECK(Graph().seed() == 0);
    CHECK(other.clone().seed() == 1);
    const Graph copy = other.clone();
    CHECK(equal(copy.parameter("fc.weight").value(), other.parameter("fc.weight").value()));
  }

  TEST_CASE("without a seed weights are zeros, for what fills them later") {
    const Graph graph = network(std::nullopt);
    for (const char* name : {"conv.weight", "conv.bias", "up.weight", "fc.weight", "fc.bias"})
      CHECK(all_equal(graph.parameter(name).value(), 0));
    const Graph model = models::build("resnet8", models::ModelOptions{});
    CHECK(all_equal(model.parameter("fc.weight").value(), 0));
  }

  TEST_CASE("init_parameters draws the same again by default, and other schemes") {
    const Graph graph = network(3);
    Graph again = network(std::nullopt);
    nn::init_parameters(again, Rng(3).split("init"));
    for (const Parameter* each : graph.parameters())
      CHECK(equal(each->value(), again.parameter(each->name()).value()));
    nn::init_parameters(again, Rng(3).split("init"),
                        {.conv = nn::InitScheme::kaiming_normal_fan_out,
                         .linear = nn::InitScheme::normal_0_01,
                         .bias = nn::BiasInit::zeros});
    CHECK_FALSE(
        equal(graph.parameter("conv.weight").value(), again.parameter("conv.weight").value()));
    CHECK(all_equal(again.parameter("fc.bias").value(), 0));
  }

  TEST_CASE("models keep the weights that they had") {
    // What the program drew before layers had weights of their own.
    const Graph graph = models::resnet8({}, Rng(1).split("init"));
    CHECK(graph.parameter("conv1.weight").value().data()[0] == -0.0539788306f);
    CHECK(graph.parameter("fc.bias").value().data()[9] == 0.117179275f);
  }
}
