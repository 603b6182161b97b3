#include "bench/bench_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "rung/ops/ops.h"

namespace rung::cli {
namespace {

struct Results {
  Tensor y, dx, dw;
  bool winograd;
};

/// Runs one convolution alone, on an image that has passed the layers before it.
Results run(const Conv& conv, const Tensor& x, const ConstTensor& weight, ConvAlgorithm algorithm) {
  Graph graph;
  const Var image = graph.parameter("x", x, Role::weight);
  const Var filter = graph.parameter("w", weight.clone(), Role::weight);
  graph.set_outputs({graph.add(conv.clone(), {image, filter}, "conv")});
  Executor executor(graph, {.conv_algorithm = algorithm});
  Results results;
  results.y = executor.forward(std::span<const Tensor>{}, Mode::train)[0];
  Tensor dy(results.y.shape());
  Rng rng(1);
  for (float& value : dy.data()) value = static_cast<float>(rng.normal());
  executor.backward(dy);
  results.dx = graph.parameter("x").grad().clone();
  results.dw = graph.parameter("w").grad().clone();
  results.winograd = to_string(executor.plan()).find("winograd") != std::string::npos;
  return results;
}

/// Returns the largest difference relative to the largest number.
double error(const Tensor& got, const Tensor& expected) {
  double worst = 0, largest = 1e-30;
  for (std::size_t i = 0; i < got.data().size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(got.data()[i]) - expected.data()[i]));
    largest = std::max(largest, std::abs(static_cast<double>(expected.data()[i])));
  }
  return worst / largest;
}

}  // namespace

void print_conv_errors(const BenchNetwork& network, const BenchData& data, const Console& console) {
  Graph graph = network.graph();
  Executor executor(graph, {.conv_algorithm = ConvAlgorithm::direct});
  std::vector<const Node*> convolutions;
  std::vector<std::string> inputs;
  for (const Node* node : graph.nodes())
    if (node->as<Conv>() != nullptr) {
      convolutions.push_back(node);
      inputs.push_back(node->inputs()[0]->name());
    }
  executor.watch(inputs);
  (void)executor.forward(data.images, Mode::train);
  console.line("Winograd's convolutions against direct ones, on the same numbers: the largest");
  console.line("difference relative to the largest number");
  console.line(fmt::format("{:<32}{:>12}{:>12}{:>12}", "", "forward", "data", "weights"));
  for (const Node* node : convolutions) {
    const Tensor x = executor.value(node->inputs()[0]->name());
    const ConstTensor& weight = node->inputs()[1]->parameter()->value();
    const Results winograd = run(*node->as<Conv>(), x, weight, ConvAlgorithm::winograd);
    if (!winograd.winograd) continue;
    const Results direct = run(*node->as<Conv>(), x, weight, ConvAlgorithm::direct);
    console.line(fmt::format("{:<32}{:12.1e}{:12.1e}{:12.1e}", node->name(),
                             error(winograd.y, direct.y), error(winograd.dx, direct.dx),
                             error(winograd.dw, direct.dw)));
  }
}

}  // namespace rung::cli
