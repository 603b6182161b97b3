#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>

#include "golden/golden_network.h"
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

double deviation(const ConstTensor& tensor) {
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
    CHECK(counts.size() == 17);
    CHECK(counts["resnet20"] == 272474);  // 0.27 M, with 1x1 shortcuts 2752 more than option A
    CHECK(counts["resnet56"] == 855770);
    CHECK(counts["resnet18"] == 11689512);  // the others: test_models_torchvision.cpp
  }

  TEST_CASE("every model runs, forward and backward, on its image size and another batch") {
    const std::set<std::string> more_of_the_same = {"resnet34",        "resnet56", "resnet101",
                                                    "resnet152",       "vgg11",    "vgg16",
                                                    "wide_resnet50_2", "vgg11_bn", "vgg16_bn"};
    for (const models::ModelInfo& info : models::list()) {
      if (more_of_the_same.contains(info.name)) continue;
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

  TEST_CASE("vgg averages larger images down to 7 x 7 and drops out like torchvision") {
    const Graph graph = models::build("vgg11", {.num_classes = 2, .image_size = 448});
    CHECK(graph.node("avgpool").outputs()[0]->shape() == Shape{1, 512, 7, 7});
    CHECK(graph.node("classifier.2").type() == "Dropout");
    CHECK(graph.node("classifier.5").type() == "Dropout");
    CHECK(models::build("vgg11", {.image_size = 224}).find_node("avgpool") == nullptr);
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

  TEST_CASE("layers of the other ImageNet models are drawn as torchvision draws them") {
    const Graph graph = models::mobilenet_v2({}, Rng(1));
    const auto spread = [&](const char* name) { return deviation(graph.parameter(name).value()); };
    CHECK(spread("classifier.1.weight") == doctest::Approx(0.01).epsilon(0.03));
    CHECK(spread("classifier.1.bias") == 0.0);
    CHECK(spread("features.18.0.weight") == doctest::Approx(std::sqrt(2.0 / 1280)).epsilon(0.01));
    CHECK(spread("features.17.conv.1.0.weight") ==  // depthwise: fan out is O * KH * KW
          doctest::Approx(std::sqrt(2.0 / (960 * 9))).epsilon(0.03));
    const Graph residual = models::resnext50_32x4d({}, Rng(1));
    CHECK(deviation(residual.parameter("fc.weight").value()) ==
          doctest::Approx(1.0 / std::sqrt(3.0 * 2048)).epsilon(0.03));
    CHECK(deviation(residual.parameter("fc.bias").value()) > 0.0);
  }

  TEST_CASE("an unknown model is refused with close names") {
    CHECK_THROWS_WITH_AS(models::make("resnet21", {}, Rng(1)),
                         doctest::Contains("there is no model 'resnet21'; closest: resnet20, "
                                           "resnet8, resnet32; all: lenet, resnet8, "),
                         Error);
    CHECK_THROWS_AS(models::make("resnet8", {.num_classes = 0}, Rng(1)), Error);
    CHECK_THROWS_AS(models::make("lenet", {.image_size = 8}, Rng(1)), Error);
    CHECK_THROWS_WITH_AS(models::build("vgg16", {.image_size = 32}),
                         "vgg needs images of 224 x 224 pixels or a multiple of it, got 32 x 32",
                         Error);
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
