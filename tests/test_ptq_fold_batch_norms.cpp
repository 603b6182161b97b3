#include <cmath>
#include <limits>
#include <string>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/exec/executor.h"
#include "rung/ops/layers.h"
#include "rung/ptq/ptq.h"

using namespace rung;

namespace {

/// Gives every parameter values that a careless formula would not survive.
void randomize(Graph& graph, Rng rng) {
  for (Parameter* parameter : graph.parameters()) {
    const bool positive = parameter->name().ends_with("running_var");
    for (float& v : parameter->edit().data())
      v = static_cast<float>(positive ? rng.uniform(0.2, 3.0) : rng.normal());
  }
}

Tensor random_input(Shape shape, Rng rng) {
  Tensor x(shape);
  for (float& v : x.data()) v = static_cast<float>(rng.normal());
  return x;
}

void check_equal(const Tensor& a, const Tensor& b, double tolerance) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0, worst = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    largest = std::max<double>(largest, std::abs(a.data()[k]));
    worst = std::max<double>(worst, std::abs(a.data()[k] - b.data()[k]));
  }
  CHECK(largest > 0);
  CHECK(worst <= tolerance * largest);
}

/// Folds, and checks that the outputs stay and how many batch norms are left.
void check_fold(Graph& graph, const Shape& input, std::size_t folded, std::size_t left) {
  randomize(graph, Rng(1));
  const Tensor x = random_input(input, Rng(2));
  const Tensor before = Executor(graph).forward(x);
  CHECK(ptq::fold_all_batch_norms(graph).size() == folded);
  graph.check();
  std::size_t remaining = 0;
  for (const Node* node : graph.nodes()) remaining += node->type() == "BatchNormalization";
  CHECK(remaining == left);
  check_equal(before, Executor(graph).forward(x), 1e-5);
}

}  // namespace

TEST_SUITE("ptq: folding batch norms") {
  TEST_CASE("a batch norm behind a convolution without bias becomes its weights and a bias") {
    Graph graph;
    Var x = graph.input("x", {2, 3, 7, 7});
    x = nn::conv2d(x, {.out_channels = 5, .kernel = 3, .padding = 1, .bias = false}, "conv");
    graph.set_outputs({nn::relu(nn::batch_norm2d(x, {}, "bn"), "relu")});
    check_fold(graph, {2, 3, 7, 7}, 1, 0);
    CHECK(graph.find_value("bn.weight") == nullptr);
    CHECK(graph.find_value("bn.running_mean") == nullptr);
    CHECK(graph.parameter("conv.bias").role() == Role::bias);
    CHECK(graph.node("conv").inputs()[2]->name() == "conv.bias");
  }

  TEST_CASE("an existing bias, groups and a graph output directly behind are folded too") {
    Graph graph;
    Var x = graph.input("x", {2, 4, 5, 5});
    x = nn::conv2d(x, {.out_channels = 6, .kernel = 3, .stride = 2, .padding = 1, .groups = 2},
                   "conv");
    graph.set_outputs({nn::batch_norm2d(x, {}, "bn")});
    check_fold(graph, {2, 4, 5, 5}, 1, 0);
    CHECK(graph.outputs()[0]->name() == "conv");
  }

  TEST_CASE("a batch norm in front of a convolution without padding is folded forward") {
    Graph graph;
    Var x = nn::batch_norm2d(graph.input("x", {2, 3, 6, 6}), {}, "bn");
    graph.set_outputs({nn::conv2d(x, {.out_channels = 4, .kernel = 3, .bias = false}, "conv")});
    check_fold(graph, {2, 3, 6, 6}, 1, 0);
    CHECK(graph.find_value("conv.bias") != nullptr);
  }

  TEST_CASE("what cannot be folded stays: padding or groups behind, two readers, nothing near") {
    Graph padded;
    Var x = nn::batch_norm2d(padded.input("x", {2, 4, 6, 6}), {}, "bn");
    padded.set_outputs({nn::conv2d(x, {.out_channels = 4, .kernel = 3, .padding = 1}, "conv")});
    check_fold(padded, {2, 4, 6, 6}, 0, 1);

    Graph grouped;
    x = nn::batch_norm2d(grouped.input("x", {2, 4, 6, 6}), {}, "bn");
    grouped.set_outputs({nn::conv2d(x, {.out_channels = 4, .kernel = 3, .groups = 2}, "conv")});
    check_fold(grouped, {2, 4, 6, 6}, 0, 1);

    Graph shared;
    x = nn::conv2d(shared.input("x", {2, 4, 6, 6}), {.out_channels = 4, .kernel = 1}, "conv");
    shared.set_outputs({nn::add(nn::batch_norm2d(x, {}, "bn"), x, "add")});
    check_fold(shared, {2, 4, 6, 6}, 0, 1);

    Graph alone;
    x = nn::relu(nn::batch_norm2d(alone.input("x", {2, 4, 6, 6}), {}, "bn"), "relu");
    alone.set_outputs({x});
    check_fold(alone, {2, 4, 6, 6}, 0, 1);
  }

  TEST_CASE("a whole residual block keeps its outputs") {
    Graph graph;
    Var x = graph.input("x", {2, 4, 8, 8});
    Var y = nn::conv2d(
        x, {.out_channels = 8, .kernel = 3, .stride = 2, .padding = 1, .bias = false}, "conv1");
    y = nn::relu(nn::batch_norm2d(y, {}, "bn1"), "relu1");
    y = nn::conv2d(y, {.out_channels = 8, .kernel = 3, .padding = 1, .bias = false}, "conv2");
    y = nn::batch_norm2d(y, {}, "bn2");
    Var shortcut =
        nn::conv2d(x, {.out_channels = 8, .kernel = 1, .stride = 2, .bias = false}, "d.0");
    shortcut = nn::batch_norm2d(shortcut, {}, "d.1");
    graph.set_outputs({nn::relu(nn::add(y, shortcut, "add"), "relu2")});
    check_fold(graph, {2, 4, 8, 8}, 3, 0);
  }

  TEST_CASE(
      "statistics that are not finite are an error that names the layer and changes nothing") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 4, 4});
    x = nn::batch_norm2d(nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "conv1"), {}, "bn1");
    x = nn::batch_norm2d(nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "conv2"), {}, "bn2");
    graph.set_outputs({x});
    randomize(graph, Rng(3));
    graph.parameter("bn2.running_var").edit().data()[1] = std::numeric_limits<float>::quiet_NaN();
    const Tensor weight = graph.parameter("conv1.weight").value().clone();
    CHECK_THROWS_WITH_AS(ptq::fold_all_batch_norms(graph), doctest::Contains("bn2"), Error);
    CHECK(graph.find_node("bn1") != nullptr);
    check_equal(weight, graph.parameter("conv1.weight").value(), 0);
  }
}
