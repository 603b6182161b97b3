#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <string>

#include "golden_network.h"
#include "rung/core/error.h"
#include "rung/exec/executor.h"
#include "rung/models.h"
#include "rung/ops/init.h"

namespace rung::test {
namespace {

std::vector<std::string> names(const Graph& graph) {
  std::vector<std::string> result;
  for (const Parameter* parameter : graph.parameters()) result.push_back(parameter->name());
  return result;
}

double deviation(const Tensor& tensor) {
  double squares = 0.0;
  for (const float value : tensor.data()) squares += double(value) * value;
  return std::sqrt(squares / static_cast<double>(tensor.numel()));
}

}  // namespace

TEST_SUITE("models") {
  TEST_CASE("parameter counts are those of the papers and of torchvision") {
    std::map<std::string, std::int64_t> counts;
    for (const models::ModelInfo& info : models::list()) {
      CHECK(!info.description.empty());
      counts[info.name] = info.parameters;
    }
    CHECK(counts.size() == 7);
    CHECK(counts["resnet20"] == 272474);  // 0.27 M, with 1x1 shortcuts 2752 more than option A
    CHECK(counts["resnet56"] == 855770);
    // torchvision has 11689512 and 21797672 with 1000 classes, each of 513 numbers here.
    CHECK(counts["resnet18"] == 11689512 - 990 * 513);
    CHECK(counts["resnet34"] == 21797672 - 990 * 513);
  }

  TEST_CASE("every model runs, forward and backward, on its image size and another batch") {
    for (const models::ModelInfo& info : models::list()) {
      if (info.name == "resnet34" || info.name == "resnet56") continue;  // more of the same
      CAPTURE(info.name);
      Graph graph =
          models::make(info.name, {.in_channels = 1, .num_classes = 7, .image_size = 28}, Rng(1));
      graph.check();
      Executor executor(graph);
      const Tensor logits = executor.forward(Tensor::full({3, 1, 28, 28}, 0.5f), Mode::train);
      CHECK(logits.shape() == Shape{3, 7});
      for (const float value : logits.data()) CHECK(std::isfinite(value));
      executor.backward(Tensor::full({3, 7}, 1.0f));
      for (const Parameter* parameter : graph.parameters())
        if (parameter->role() != Role::buffer) CHECK(parameter->has_grad());
    }
  }

  TEST_CASE("parameters have PyTorch's names, in PyTorch's order") {
    const Graph graph = models::resnet8({}, Rng(1));
    const auto all = names(graph);
    CHECK(std::vector<std::string>(all.begin(), all.begin() + 6) ==
          std::vector<std::string>{"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean",
                                   "bn1.running_var", "layer1.0.conv1.weight"});
    CHECK(all.back() == "fc.bias");
    CHECK(graph.find_node("layer1.0.relu1") != nullptr);
    CHECK(graph.find_node("layer1.0.downsample.0") == nullptr);
    CHECK(graph.find_node("layer2.0.downsample.1") != nullptr);
    CHECK(graph.node("layer3.0.relu2").type() == "Relu");
    CHECK(graph.parameter("layer3.0.downsample.0.weight").shape() == Shape{64, 32, 1, 1});
    const Graph large = models::resnet18({}, Rng(1));
    CHECK(large.parameter("layer4.1.conv2.weight").shape() == Shape{512, 512, 3, 3});
    CHECK(large.find_node("maxpool") != nullptr);
  }

  TEST_CASE("initial weights have the prescribed spread and depend on seed and name only") {
    const Graph a = models::resnet20({}, Rng(1)), b = models::resnet20({}, Rng(1));
    const Graph c = models::resnet20({}, Rng(2)), shallow = models::resnet8({}, Rng(1));
    const auto weight = [](const Graph& graph, const char* name) {
      const auto data = graph.parameter(name).value().data();
      return std::vector<float>(data.begin(), data.end());
    };
    CHECK(weight(a, "layer3.0.conv2.weight") == weight(b, "layer3.0.conv2.weight"));
    CHECK(weight(a, "layer3.0.conv2.weight") == weight(shallow, "layer3.0.conv2.weight"));
    CHECK(weight(a, "layer3.0.conv2.weight") != weight(c, "layer3.0.conv2.weight"));
    CHECK(weight(a, "layer3.0.conv2.weight") != weight(a, "layer3.1.conv2.weight"));
    CHECK(deviation(a.parameter("layer3.0.conv2.weight").value()) ==
          doctest::Approx(std::sqrt(2.0 / (64 * 9))).epsilon(0.03));
    CHECK(deviation(a.parameter("layer2.0.conv1.weight").value()) ==  // fan out, not fan in
          doctest::Approx(std::sqrt(2.0 / (32 * 9))).epsilon(0.06));
    float largest = 0.0f;
    for (const float value : weight(a, "fc.weight")) largest = std::max(largest, std::abs(value));
    CHECK(largest <= 0.125f);  // 1 / sqrt(64)
    CHECK(largest > 0.12f);
    CHECK(weight(a, "bn1.weight") == std::vector<float>(16, 1.0f));
    CHECK(weight(a, "bn1.running_var") == std::vector<float>(16, 1.0f));
  }

  TEST_CASE("an unknown model is refused with close names") {
    CHECK_THROWS_WITH_AS(models::make("resnet21", {}, Rng(1)),
                         "there is no model 'resnet21'; closest: resnet20, resnet8, resnet32; all: "
                         "lenet, resnet8, resnet20, resnet32, resnet56, resnet18, resnet34",
                         Error);
    CHECK_THROWS_AS(models::make("resnet8", {.num_classes = 0}, Rng(1)), Error);
    CHECK_THROWS_AS(models::make("lenet", {.image_size = 8}, Rng(1)), Error);
  }

  TEST_CASE("the golden network has the nodes and the parameters of its description") {
    const Graph graph = golden_network();
    CHECK(graph.parameters().size() == 47);
    CHECK(graph.nodes().size() == 32);
    CHECK(graph.parameter("fc.weight").shape() == Shape{10, 24});
    CHECK(graph.value("layer3.0.relu2").shape() == Shape{1, 24, 3, 3});
  }
}

}  // namespace rung::test
