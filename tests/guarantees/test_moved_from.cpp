// Objects that were moved from: using one is an Error that names it, never a crash.

#include <doctest/doctest.h>

#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/nn/data.h"
#include "rung/quantsim/quantsim.h"
#include "support/quant_helpers.h"
#include "support/quantsim_net.h"
#include "support/train_step.h"

using namespace rung;

namespace {

std::string told(std::string_view owner) {
  return std::string(owner).append(
      ": this object was moved from; use the one that it was moved to");
}

}  // namespace

TEST_SUITE("moved from") {
  TEST_CASE("an executor") {
    Graph graph = small_net();
    Executor executor(graph);
    const Tensor x = random_tensor({4, 2, 6, 6}, 3);
    const Tensor y = executor.forward(x);
    Executor moved = std::move(executor);
    CHECK(difference(moved.forward(x), y) == 0);
    const std::string expected = told("Executor");
    CHECK(message_of([&] { executor.forward(x); }) == expected);
    CHECK(message_of([&] { executor.forward(std::span(&x, 1), Mode::train); }) == expected);
    CHECK(message_of([&] { executor.backward(y); }) == expected);
    CHECK(message_of([&] { executor.on_gradient({}); }) == expected);
    CHECK(message_of([&] { executor.watch({"relu1"}); }) == expected);
    CHECK(message_of([&] { executor.value("relu1"); }) == expected);
    CHECK(message_of([&] { executor.graph(); }) == expected);
    CHECK(message_of([&] { executor.plan(); }) == expected);
    CHECK(message_of([&] { executor.plan(std::vector{x.shape()}, Mode::eval); }) == expected);
    CHECK(message_of([&] { executor.set_seed(1); }) == expected);
    CHECK(message_of([&] { executor.set_conv_algorithm(ConvAlgorithm::direct); }) == expected);
    CHECK(message_of([&] { executor.step_count(); }) == expected);
    CHECK(message_of([&] { executor.set_step_count(1); }) == expected);
    executor = std::move(moved);  // and it is itself again
    CHECK(difference(executor.forward(x), y) == 0);
  }

  TEST_CASE("a simulation") {
    QuantizationSimModel sim(small_net(), {});
    QuantizationSimModel moved = std::move(sim);
    calibrate_small_net(moved);
    const std::string expected = told("QuantizationSimModel");
    CHECK(message_of([&] { calibrate_small_net(sim); }) == expected);
    CHECK(message_of([&] { sim.graph(); }) == expected);
    CHECK(message_of([&] { std::as_const(sim).graph(); }) == expected);
    CHECK(message_of([&] { sim.executor(); }) == expected);
    CHECK(message_of([&] { sim.options(); }) == expected);
    CHECK(message_of([&] { sim.config(); }) == expected);
    CHECK(message_of([&] { sim.quantizers(); }) == expected);
    CHECK(message_of([&] { sim.quantizer("conv1"); }) == expected);
    CHECK(message_of([&] { sim.export_to("/nowhere", "net"); }) == expected);
    CHECK(message_of([&] { sim.exclude_layers_from_quantization({"conv1"}); }) == expected);
  }

  TEST_CASE("a loader and its iterator") {
    const auto pixels = std::make_shared<nn::InMemoryDataset>(
        Shape{1, 1, 1}, 2, std::vector<std::uint8_t>(10), std::vector<std::uint8_t>(10));
    nn::DataLoader loader({.dataset = pixels, .batch_size = 4});
    auto all = loader.take(2);
    nn::DataLoader moved = std::move(loader);
    const std::string expected = told("DataLoader");
    CHECK(message_of([&] { loader.begin(); }) == expected);
    CHECK(message_of([&] { loader.size(); }) == expected);
    CHECK(message_of([&] { loader.dataset(); }) == expected);
    CHECK(message_of([&] { loader.options(); }) == expected);
    CHECK(message_of([&] { loader.skipped(); }) == expected);
    CHECK(message_of([&] { loader.state(); }) == expected);
    CHECK(message_of([&] { loader.load_state({}); }) == expected);
    CHECK(message_of([&] { loader.take(1).begin(); }) == expected);
    auto range = std::move(all);
    CHECK(message_of([&] { all.begin(); }) == expected);
    std::int64_t images = 0;
    for (const nn::Batch& batch : range) images += batch.size();
    CHECK(images == 8);

    auto iterator = moved.begin();
    auto other = std::move(iterator);
    CHECK(iterator == std::default_sentinel);
    ++iterator;
    CHECK(iterator == std::default_sentinel);
    CHECK((*other).size() == 4);
  }

  TEST_CASE("a graph is empty, and executors of it notice") {
    Graph graph = small_net();
    Executor executor(graph);
    const Tensor x = random_tensor({4, 2, 6, 6}, 3);
    const Tensor y = executor.forward(x);
    Graph moved = std::move(graph);
    CHECK(graph.nodes().empty());
    CHECK(graph.parameters().empty());
    CHECK(graph.version() != moved.version());
    CHECK(message_of([&] { executor.forward(x); }).find("the graph has no outputs") !=
          std::string::npos);
    CHECK(difference(Executor(moved).forward(x), y) == 0);

    // The plans of an executor are not those of a graph that takes the place of its graph.
    Graph other = small_net();
    Executor of_other(other);
    of_other.forward(x);
    const std::uint64_t before = other.version();
    other = small_net();
    CHECK(other.version() != before);
    CHECK(difference(of_other.forward(x), y) == 0);
    Graph& self = other;
    other = std::move(self);
    CHECK(difference(of_other.forward(x), y) == 0);
    graph = std::move(moved);
    CHECK(difference(executor.forward(x), y) == 0);
  }
}
