// Six SGD steps of a small ResNet against PyTorch's own run: losses, the first step's gradients,
// final parameters and BatchNorm statistics.

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden.h"
#include "golden_model.h"
#include "rung/exec/executor.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"

using namespace rung;

namespace {

constexpr double kTolerance = 1e-4;  // losses: relative; tensors: of the largest element

// Largest difference, relative to the largest expected element.
double difference(std::span<const float> got, std::span<const float> expected) {
  REQUIRE(got.size() == expected.size());
  double worst = 0, scale = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    REQUIRE(std::isfinite(got[i]));
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - expected[i]));
    scale = std::max(scale, std::abs(static_cast<double>(expected[i])));
  }
  return worst == 0 ? 0 : worst / scale;
}

void check(std::span<const float> got, const golden::Tensors& expected, const std::string& name,
           golden::Report& report, double& worst) {
  CAPTURE(name);
  const double error = difference(got, expected.floats(name));
  CHECK(error <= kTolerance);
  worst = std::max(worst, error);
  report.add(got.size());
}

void train(const nlohmann::json& run, const golden::Tensors& data, LayoutPolicy layout,
           golden::Report& report, double& worst) {
  const std::string name = run.at("name");
  CAPTURE(name);
  const golden::Tensors expected = golden::tensors("network/train_" + name + ".safetensors");
  Graph graph = golden::network("network/init.safetensors");
  Executor executor(graph, {.layout = layout, .conv_algorithm = golden::conv_algorithm()});
  const auto& options = run.at("optimizer");
  for (const auto& [key, value] : options.items())
    REQUIRE_MESSAGE(
        (key == "lr" || key == "momentum" || key == "weight_decay" || key == "nesterov"),
        "unknown optimizer option " << key);
  nn::Sgd sgd(graph.parameters(), {.lr = options.at("lr"),
                                   .momentum = options.value("momentum", 0.0),
                                   .weight_decay = options.value("weight_decay", 0.0),
                                   .nesterov = options.value("nesterov", false)});
  const std::vector<double> losses = run.at("losses");
  REQUIRE(!losses.empty());
  for (std::size_t step = 0; step < losses.size(); ++step) {
    const std::string suffix = std::to_string(step);
    const Tensor logits = executor.forward(golden::tensor(data.at("x" + suffix)), Mode::train);
    const nn::Loss loss = nn::cross_entropy(logits, data.at("y" + suffix).integers);
    CHECK(std::abs(loss.value - losses[step]) <= kTolerance * std::abs(losses[step]));
    worst = std::max(worst, std::abs(loss.value / losses[step] - 1));
    report.add();
    sgd.zero_grad();
    executor.backward(loss.gradient);
    if (step == 0) {
      check(logits.data(), expected, "logits0", report, worst);
      for (Parameter* parameter : graph.parameters())
        if (parameter->role() != Role::buffer)
          check(parameter->grad().data(), expected, "grad0." + parameter->name(), report, worst);
    }
    sgd.step();
  }
  for (const Parameter* parameter : graph.parameters())
    check(parameter->value().data(), expected, "final." + parameter->name(), report, worst);
  const Tensor logits = executor.forward(golden::tensor(data.at("x0")));
  check(logits.data(), expected, "eval_logits", report, worst);
  golden::check_all_used(expected);
}

}  // namespace

TEST_SUITE("golden network: train") {
  TEST_CASE("training takes PyTorch's steps with every optimizer") {
    const nlohmann::json file = golden::json("network/train.json");
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    golden::Report report("golden network: train");
    double worst = 0;
    std::set<std::string> files;
    for (const auto& run : file.at("runs")) {
      for (const LayoutPolicy layout : {LayoutPolicy::blocked, LayoutPolicy::plain})
        train(run, data, layout, report, worst);
      files.insert("train_" + run.at("name").get<std::string>() + ".safetensors");
    }
    for (const std::string& name : golden::files("network", "train_"))
      if (name.ends_with(".safetensors"))
        CHECK_MESSAGE(files.contains(name), name << " belongs to no listed run");
    report.note("worst error " + std::to_string(worst));
  }
}
