#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/parallel.h"
#include "rung/exec/executor.h"
#include "rung/models.h"
#include "rung/nn/loss.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "support/train_step.h"

using namespace rung;

namespace {

void check_same(const StepResult& a, const StepResult& b, double tolerance) {
  CHECK(difference(a.logits, b.logits) <= tolerance);
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (const auto& [name, gradient] : a.gradients) {
    CAPTURE(name);
    CHECK(difference(gradient, b.gradients.at(name)) <= tolerance);
  }
}

Graph network(std::int64_t channels = 3) {
  return models::resnet8({.in_channels = channels, .num_classes = 5, .image_size = 12}, Rng(1));
}

}  // namespace

TEST_SUITE("exec") {
  TEST_CASE("fusing changes nothing") {
    Graph a = network(), b = network();
    check_same(train_step(a, {.fuse = true}), train_step(b, {.fuse = false}), 1e-6);
  }

  TEST_CASE("sharing memory changes nothing") {
    Graph a = network(), b = network();
    check_same(train_step(a, {}), train_step(b, {.memory = MemoryPolicy::keep_all}), 0);
    Executor shared(a), kept(b, {.memory = MemoryPolicy::keep_all});
    const Shape shape{16, 3, 12, 12};
    const PlanStats small = stats(shared.plan(std::span(&shape, 1), Mode::train));
    const PlanStats large = stats(kept.plan(std::span(&shape, 1), Mode::train));
    CHECK(small.arena_bytes < large.arena_bytes);
    CHECK(small.unplanned_bytes <= large.arena_bytes);
  }

  TEST_CASE("blocked layouts change nothing but the order of sums") {
    Graph a = network(), b = network();
    check_same(train_step(a, {}), train_step(b, {.layout = LayoutPolicy::plain}), 2e-5);
  }

  TEST_CASE("blocked layouts need reorders only where a network leaves its convolutions") {
    Graph graph = models::resnet20({.in_channels = 3, .num_classes = 10, .image_size = 32}, Rng(1));
    Executor executor(graph);
    const Shape shape{8, 3, 32, 32};
    CHECK(stats(executor.plan(std::span(&shape, 1), Mode::train)).reorders <= 2);
  }

  TEST_CASE("a fork's gradient is the sum over its readers") {
    Graph graph;
    const Var x = graph.parameter("x", Tensor(Shape{1, 2}, {3, -4}), Role::weight);
    const Var twice = nn::add(x, x, "twice");                    // 2 x
    graph.set_outputs({nn::add(twice, nn::relu(x, "r"), "y")});  // 2 x + relu(x)
    Executor executor(graph);
    const std::vector<Tensor> y = executor.forward(std::span<const Tensor>{}, Mode::train);
    CHECK(y[0].data()[0] == 9);
    CHECK(y[0].data()[1] == -8);
    executor.backward(Tensor(Shape{1, 2}, {1, 10}));
    CHECK(graph.parameter("x").grad().data()[0] == 3);
    CHECK(graph.parameter("x").grad().data()[1] == 20);
    executor.forward(std::span<const Tensor>{}, Mode::train);
    executor.backward(Tensor(Shape{1, 2}, {1, 10}));  // without zero_grad it accumulates
    CHECK(graph.parameter("x").grad().data()[0] == 6);
  }

  TEST_CASE("whoever asks is told of each gradient once, when it is complete") {
    Graph graph;
    const Var x = graph.input("x", {4, 2});
    const Var w = graph.parameter("w", Tensor(Shape{1, 2}, {3, -4}), Role::weight);
    Var y = nn::mul(x, w, "first");
    y = nn::relu(nn::linear(y, {.out_features = 3}, "fc"), "r");
    y = nn::linear(y, {.out_features = 2}, "head");
    graph.set_outputs({nn::mul(y, w, "last")});  // w is used at both ends
    Rng rng(5);
    for (Parameter* parameter : graph.parameters())
      for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal());
    Executor executor(graph);
    std::vector<std::string> told;
    std::vector<Tensor> then;
    executor.on_gradient([&](Parameter& parameter) {
      told.push_back(parameter.name());
      then.push_back(parameter.grad().clone());
      CHECK_THROWS_AS(executor.forward(Tensor(Shape{4, 2})), Error);
    });
    const auto backward = [&] {
      executor.forward(Tensor(Shape{4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}), Mode::train);
      executor.backward(Tensor(Shape{4, 2}, {1, -1, 1, -1, 2, 2, 2, 2}));
    };
    backward();
    std::vector<std::string> all;
    for (const Parameter* parameter : graph.parameters()) all.push_back(parameter->name());
    REQUIRE(told.size() == all.size());
    CHECK(told.back() == "w");
    CHECK(told.front().starts_with("head."));
    for (std::size_t i = 0; i < told.size(); ++i)
      CHECK(difference(then[i], graph.parameter(told[i]).grad()) == 0);
    CHECK(std::ranges::is_permutation(told, all));
    told.clear();
    executor.on_gradient({});
    backward();
    CHECK(told.empty());
  }

  TEST_CASE("a graph may have several outputs") {
    Graph graph;
    const Var x = graph.input("x", {1, 2});
    const Var w = graph.parameter("w", Tensor(Shape{1, 2}, {1, 1}), Role::weight);
    const Var y = nn::mul(x, w, "y");
    graph.set_outputs({y, nn::relu(y, "r")});
    Executor executor(graph);
    const Tensor input(Shape{1, 2}, {2, -3});
    const std::vector<Tensor> out = executor.forward(std::span(&input, 1), Mode::train);
    REQUIRE(out.size() == 2);
    CHECK(out[1].data()[1] == 0);
    const std::vector<Tensor> gradients = {Tensor(Shape{1, 2}, {1, 1}),
                                           Tensor(Shape{1, 2}, {10, 10})};
    executor.backward(gradients);
    CHECK(graph.parameter("w").grad().data()[0] == 22);  // 2 * (1 + 10)
    CHECK(graph.parameter("w").grad().data()[1] == -3);  // -3 * 1
    CHECK_THROWS_AS((void)executor.forward(input), Error);
  }

  TEST_CASE("every edit takes effect at the next forward") {
    Graph graph;
    const Var x = graph.input("x", {1, 2, 1, 1});
    const Var y = nn::relu(x, "y");
    graph.set_outputs({y});
    Executor executor(graph);
    const Tensor input(Shape{1, 2, 1, 1}, {1, -1});
    CHECK(executor.forward(input).data()[1] == 0);
    graph.bypass_node(graph.node("y"));
    CHECK(executor.forward(input).data()[1] == -1);
  }

  TEST_CASE("a changed weight is never stale, whoever changed it") {
    Graph graph = network();
    Executor executor(graph);
    const Tensor x = noise({2, 3, 12, 12}, 1);
    const Tensor before = executor.forward(x);
    for (float& value : graph.parameter("conv1.weight").edit().data()) value *= 2;
    const Tensor after = executor.forward(x);
    CHECK(difference(after, before) > 1e-3);
    Executor fresh(graph);
    CHECK(difference(after, fresh.forward(x)) == 0);
  }

  TEST_CASE("plans of several shapes and modes share one arena and do not disturb each other") {
    Graph graph = network();
    Executor executor(graph);
    const Tensor small = noise({2, 3, 12, 12}, 1), large = noise({9, 3, 12, 12}, 2);
    const Tensor kept = executor.forward(small);
    const Tensor copy = kept.clone();
    (void)executor.forward(large, Mode::train);
    (void)executor.forward(large);
    CHECK(difference(kept, copy) == 0);  // outputs are tensors of their own
    Executor fresh(graph);
    CHECK(difference(executor.forward(small), fresh.forward(small)) == 0);
  }

  TEST_CASE("one row of a batch does not depend on the others in eval") {
    Graph graph = network();
    Executor executor(graph);
    const Tensor x = noise({5, 3, 12, 12}, 1);
    const Tensor all = executor.forward(x);
    CHECK(difference(executor.forward(x.slice(3, 4)), all.slice(3, 4)) < 1e-5);
  }

  TEST_CASE("watched values can be read after forward and keep their own step") {
    Graph graph = network();
    Executor executor(graph);
    executor.watch({"bn1", "relu"});
    (void)executor.forward(noise({2, 3, 12, 12}, 1));
    const Tensor bn = executor.value("bn1"), relu = executor.value("relu");
    REQUIRE(bn.shape() == relu.shape());
    float lowest = 0;
    for (std::size_t i = 0; i < bn.data().size(); ++i) {
      CHECK(relu.data()[i] == (bn.data()[i] < 0 ? 0 : bn.data()[i]));
      lowest = std::min(lowest, bn.data()[i]);
    }
    CHECK(lowest < 0);
    CHECK_THROWS_AS((void)executor.value("layer1.0.bn1"), Error);
  }

  TEST_CASE("wrong calls are errors that say what to do") {
    Graph graph = network();
    Executor executor(graph);
    const Tensor x = noise({2, 3, 12, 12}, 1);
    CHECK_THROWS_AS(executor.backward(Tensor(Shape{2, 5})), Error);
    (void)executor.forward(x);
    CHECK_THROWS_AS(executor.backward(Tensor(Shape{2, 5})), Error);
    (void)executor.forward(x, Mode::train);
    CHECK_THROWS_AS(executor.backward(Tensor(Shape{2, 4})), Error);
    (void)executor.forward(x, Mode::train);
    executor.backward(Tensor(Shape{2, 5}));
    CHECK_THROWS_AS(executor.backward(Tensor(Shape{2, 5})), Error);
    CHECK_THROWS_AS((void)executor.forward(noise({2, 4, 12, 12}, 1)), Error);
    CHECK_THROWS_AS((void)executor.forward(noise({2, 3}, 1)), Error);
    CHECK_THROWS_AS((void)executor.forward(Tensor()), Error);
    (void)executor.forward(x, Mode::train);
    graph.parameter("fc.weight").set_requires_grad(false);
    CHECK_THROWS_AS(executor.backward(Tensor(Shape{2, 5})), Error);
  }

  TEST_CASE("a frozen parameter gets no gradient and the others are as before") {
    Graph a = network(), b = network();
    b.parameter("conv1.weight").set_requires_grad(false);
    const StepResult all = train_step(a, {}), some = train_step(b, {});
    CHECK(!some.gradients.contains("conv1.weight"));
    for (const auto& [name, gradient] : some.gradients)
      CHECK(difference(gradient, all.gradients.at(name)) <= 1e-6);
    CHECK(!b.parameter("conv1.weight").has_grad());
  }

  TEST_CASE("our own kernels give the same bits with any number of threads") {
    std::vector<StepResult> results;
    for (const int threads : {1, 2, 4}) {
      set_thread_count(threads);
      Graph graph;
      const Var x = graph.input("x", {1, 20, 9, 9});
      const Var skip = nn::relu(nn::batch_norm2d(x, {}, "bn"), "relu");
      const Var y = nn::global_avg_pool(nn::add(skip, x, "add"), "pool");
      graph.set_outputs({nn::flatten(y, "flat")});
      results.push_back(train_step(graph, {}, 33));
    }
    set_thread_count(0);
    check_same(results[0], results[1], 0);
    check_same(results[0], results[2], 0);
  }

  TEST_CASE("a plan prints its steps, formats and memory") {
    Graph graph = network();
    Executor executor(graph);
    (void)executor.forward(noise({2, 3, 12, 12}, 1), Mode::train);
    std::ostringstream text;
    text << executor.plan();
    CHECK(text.str().find("layer1.0.bn1 + layer1.0.relu1") != std::string::npos);
    CHECK(text.str().find("backward") != std::string::npos);
    CHECK(text.str().find("arena") != std::string::npos);
  }
}
