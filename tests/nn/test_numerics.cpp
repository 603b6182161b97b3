#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/nn/numerics.h"
#include "rung/nn/train.h"
#include "rung/ops/init.h"
#include "rung/ops/layers.h"
#include "support/io_helpers.h"
#include "support/training_helpers.h"

using namespace rung;
using test::values;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Graph network() {
  Graph graph;
  Var x = graph.input("input", {2, 1, 4, 4});
  x = nn::relu(nn::conv2d(x, {.out_channels = 3, .kernel = 3}, "conv1"), "relu1");
  x = nn::relu(nn::conv2d(x, {.out_channels = 2, .kernel = 2}, "conv2"), "relu2");
  graph.set_outputs({nn::linear(nn::flatten(x, "flatten"), {.out_features = 2}, "fc")});
  nn::init_parameters(graph, Rng(5));
  return graph;
}

Tensor ones() {
  Tensor input(Shape{2, 1, 4, 4});
  for (float& x : input.data()) x = 1.0f;
  return input;
}

nn::DataLoader loader() {
  std::vector<std::uint8_t> pixels(16 * 6, 100), labels{0, 1, 0, 1, 0, 1};
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37);
  auto data = std::make_shared<nn::InMemoryDataset>(Shape{1, 4, 4}, 2, pixels, labels);
  return nn::DataLoader({.dataset = data, .batch_size = 2, .workers = 0});
}

}  // namespace

TEST_SUITE_BEGIN("nn numerics");

TEST_CASE("the first number that is not finite is found: input, parameter or node") {
  Graph graph = network();
  CHECK(nn::find_not_finite(graph, ones(), Mode::train).empty());

  Tensor bad = ones();
  bad.data()[3] = std::nanf("");
  CHECK(nn::find_not_finite(graph, bad, Mode::train) ==
        "1 of 32 numbers of the input are not finite");

  Graph infinite = network();
  infinite.parameter("conv2.weight").edit().data()[1] = kInfinity;
  CHECK(nn::find_not_finite(infinite, ones(), Mode::train) ==
        "Conv conv2: 1 of 24 numbers of the parameter conv2.weight are not finite");

  // Overflows: everything that goes in is finite.
  Graph large = network();
  for (float& w : large.parameter("conv1.weight").edit().data()) w = 1e30f;
  for (float& w : large.parameter("conv2.weight").edit().data()) w = 1e30f;
  CHECK(nn::find_not_finite(large, ones(), Mode::eval) ==
        "Conv conv2: 4 of 4 numbers of its output are not finite; its inputs and parameters are");
}

TEST_CASE("training names the node when its loss, a gradient or a parameter is not finite") {
  const auto train = [](Graph& graph, const nn::TrainOptions& options, double lr,
                        const nn::LossFunction& loss = nn::cross_entropy) {
    Executor executor(graph);
    nn::Sgd sgd(graph.parameters(), {.lr = lr});
    nn::DataLoader data = loader();
    return message_of([&] {
      for (int epoch = 0; epoch < 3; ++epoch)
        nn::train_one_epoch(executor, data, loss, sgd, options);
    });
  };
  Graph large = network();
  for (const char* name : {"conv1.weight", "conv2.weight"})
    for (float& w : large.parameter(name).edit().data()) w = 1e30f;
  const std::string message = train(large, {}, 0.1);
  CHECK(message.starts_with("train_one_epoch: the loss is "));
  CHECK(message.find(" at batch 1 of 3: Conv conv2: ") != std::string::npos);

  // A step so large that a weight overflows. Only `all` notices before the next loss.
  Graph jump = network();
  CHECK(train(jump, {.check_numerics = nn::CheckNumerics::all}, 1e39)
            .find("a parameter is not finite after the step at batch 1 of 3: ") !=
        std::string::npos);
  Graph unnoticed = network();
  CHECK(train(unnoticed, {}, 1e39).find("at batch 2 of 3") != std::string::npos);

  // The loss is finite, its gradient is not: the end of the network gets it first.
  Graph steep = network();
  const std::vector<float> weights = values(steep);
  const nn::LossFunction infinite = [](const Tensor& logits, std::span<const std::int64_t> labels) {
    nn::Loss loss = nn::cross_entropy(logits, labels);
    loss.gradient.data()[0] = kInfinity;
    return loss;
  };
  CHECK(train(steep, {.check_numerics = nn::CheckNumerics::all}, 0.1, infinite)
            .find("a gradient is not finite at batch 1 of 3: Gemm fc: ") != std::string::npos);
  CHECK(values(steep) == weights);

  Graph off = network();
  CHECK(train(off, {.check_numerics = nn::CheckNumerics::off}, 1e39) == "no Error");
}

TEST_CASE("gradients are clipped by their common norm, as torch.nn.utils.clip_grad_norm_ does") {
  Graph graph;
  const Var a = graph.parameter("a", Tensor(Shape{2}), Role::weight);
  const Var b = graph.parameter("b", Tensor(Shape{1}), Role::weight);
  graph.parameter("a").add_grad(std::vector{3.0f, 0.0f});
  graph.parameter("b").add_grad(std::vector{-4.0f});
  CHECK(nn::clip_grad_norm(graph.parameters(), 5.0) == 5.0);
  CHECK(graph.parameter("a").grad().data()[0] == 3.0f);
  CHECK(nn::clip_grad_norm(graph.parameters(), 1.0) == 5.0);
  CHECK(graph.parameter("a").grad().data()[0] == doctest::Approx(0.6));
  CHECK(graph.parameter("b").grad().data()[0] == doctest::Approx(-0.8));
  graph.parameter("b").zero_grad();  // has none: does not count
  CHECK(nn::clip_grad_norm(graph.parameters(), 10.0) == doctest::Approx(0.6));
  CHECK_THROWS_AS(nn::clip_grad_norm(graph.parameters(), 0.0), Error);
  CHECK(a.shape() != b.shape());
}

TEST_SUITE_END();
