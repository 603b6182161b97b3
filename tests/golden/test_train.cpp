// Six SGD steps of a small ResNet against PyTorch's own run: losses, the first step's gradients,
// final parameters and BatchNorm statistics.

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_runs.h"
#include "rung/exec/executor.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"

using namespace rung;

namespace {

constexpr double kTolerance = 1e-4;  // of the largest element

/// What a training computed, by the names of the results file; "losses" beside them.
using Results = std::map<std::string, std::vector<double>>;

nn::SgdOptions sgd_options(const nlohmann::json& run) {
  const auto& options = run.at("optimizer");
  for (const auto& [key, value] : options.items())
    REQUIRE_MESSAGE(
        (key == "lr" || key == "momentum" || key == "weight_decay" || key == "nesterov"),
        "unknown optimizer option " << key);
  return {.lr = options.at("lr"),
          .momentum = options.value("momentum", 0.0),
          .weight_decay = options.value("weight_decay", 0.0),
          .nesterov = options.value("nesterov", false)};
}

Results train(const nlohmann::json& run, const golden::Tensors& data, const golden::Way& way) {
  Graph graph = golden::network("network/init.safetensors");
  golden::add_noise(graph, way.noise);
  const golden::Batches batches(data, way.noise);
  Executor executor(graph, way.training);
  nn::Sgd sgd(graph.parameters(), sgd_options(run));
  Results results;
  for (std::size_t step = 0; step < run.at("losses").size(); ++step) {
    const std::string suffix = std::to_string(step);
    const Tensor logits = executor.forward(batches.images("x" + suffix), Mode::train);
    const nn::Loss loss = nn::cross_entropy(logits, batches.labels("y" + suffix));
    results["losses"].push_back(loss.value);
    sgd.zero_grad();
    executor.backward(loss.gradient);
    if (step == 0) {
      results["logits0"] = golden::doubles(logits.data());
      for (Parameter* parameter : graph.parameters())
        if (parameter->role() != Role::buffer)
          results["grad0." + parameter->name()] = golden::doubles(parameter->grad().data());
    }
    sgd.step();
  }
  for (const Parameter* parameter : graph.parameters())
    results["final." + parameter->name()] = golden::doubles(parameter->value().data());
  results["eval_logits"] = golden::doubles(executor.forward(batches.images("x0")).data());
  return results;
}

Results pytorch(const nlohmann::json& run) {
  const golden::Tensors file =
      golden::tensors("network/train_" + run.at("name").get<std::string>() + ".safetensors");
  Results results{{"losses", run.at("losses")}};
  for (const auto& [name, tensor] : file.all()) results[name] = golden::doubles(tensor.floats);
  return results;
}

/// Returns the largest difference of every list, relative to the largest expected element.
std::map<std::string, double> distances(const Results& got, const Results& expected) {
  std::map<std::string, double> all;
  REQUIRE(got.size() == expected.size());
  for (const auto& [name, list] : expected) {
    CAPTURE(name);
    REQUIRE(got.contains(name));
    double largest = 0;
    for (const double each : list) largest = std::max(largest, std::abs(each));
    const double error = golden::difference(got.at(name), list).largest;
    all[name] = error == 0 ? 0 : error / largest;
  }
  return all;
}

/// Checks a run against PyTorch's. A sum that is 0 but for the last bit goes through a Relu or not,
/// a maximum may be another: where that happens, and it does to ours with noise in the last place,
/// PyTorch may be a few times as far away.
void check(const nlohmann::json& run, const golden::Tensors& data, golden::Report& report,
           double& worst) {
  CAPTURE(run.at("name"));
  const Results direct =
      train(run, data, {.training = {.conv_algorithm = golden::conv_algorithm()}});
  double spread = 0;
  for (const golden::Way& way : golden::right_ways())
    for (const auto& [name, distance] : distances(train(run, data, way), direct))
      spread = std::max(spread, distance);
  const Results expected = pytorch(run);
  for (const auto& [name, distance] : distances(direct, expected)) {
    CAPTURE(name);
    CHECK(distance <= std::max(kTolerance, golden::kSpreads * spread));
    worst = std::max(worst, distance);
    report.add(expected.at(name).size());
  }
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
      check(run, data, report, worst);
      files.insert("train_" + run.at("name").get<std::string>() + ".safetensors");
    }
    for (const std::string& name : golden::files("network", "train_"))
      if (name.ends_with(".safetensors"))
        CHECK_MESSAGE(files.contains(name), name << " belongs to no listed run");
    report.note("worst error " + std::to_string(worst));
  }
}
