// A network of one's own: layers by name, how its first weights are chosen, a training loop with
// AdamW, and what one looks at when it does not learn. Data are two moons, so it takes a second.

#include <rung/rung.h>

#include <cmath>
#include <iostream>

using namespace rung;

namespace {

/// Points [n, 2] of two interleaved half circles, and which of them each lies on.
std::pair<Tensor, std::vector<std::int64_t>> moons(std::int64_t n, Rng rng) {
  Tensor points(Shape{n, 2});
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < n; ++i) {
    const double angle = rng.uniform(0, 3.14159265);
    const bool second = rng.bernoulli(0.5);
    points.at(i, 0) =
        static_cast<float>((second ? 1 - std::cos(angle) : std::cos(angle)) + 0.1 * rng.normal());
    points.at(i, 1) =
        static_cast<float>((second ? 0.5 - std::sin(angle) : std::sin(angle)) + 0.1 * rng.normal());
    labels.push_back(second ? 1 : 0);
  }
  return {points, labels};
}

Graph network() {
  Graph graph;
  graph.set_seed(7);  // layers draw their weights from it, as PyTorch's do; 0 unless it is set
  Var x = graph.input("x", {1, 2});
  x = nn::relu(nn::linear(x, {.out_features = 32}, "fc1"), "relu1");
  x = nn::relu(nn::linear(x, {.out_features = 32}, "fc2"), "relu2");
  graph.set_outputs({nn::linear(x, {.out_features = 2}, "fc3")});
  // Another scheme for all layers; a single weight is graph.parameter("fc1.weight").edit():
  // nn::init_parameters(graph, Rng(7), {.linear = nn::InitScheme::normal_0_01});
  return graph;
}

}  // namespace

int main() {
  const auto [points, labels] = moons(512, Rng(1));
  Graph model = network();
  std::cout << "the first points: " << points.slice(0, 3) << "\n";

  const std::vector<Tensor> few{points.slice(0, 8)};
  const testing::GradcheckResult check =
      testing::gradcheck(model, few, {.step = 1e-3, .tolerance = 1e-2});
  std::cout << check.to_string() << "\n";

  Executor executor(model);
  executor.watch({"relu2"});  // its value and its gradient can be read
  nn::AdamW adamw(model.parameters(), {.lr = 0.01});
  double accuracy = 0;
  for (int step = 0; step <= 200; ++step) {
    const Tensor logits = executor.forward(points, Mode::train);
    const nn::Loss loss = nn::cross_entropy(logits, labels);
    adamw.zero_grad();
    executor.backward(loss.gradient);
    adamw.step();
    accuracy = nn::top1_accuracy(logits, labels);
    if (step % 50 != 0) continue;
    double norm = 0;
    const Tensor gradient = executor.gradient("relu2");
    for (const float each : gradient.data()) norm += double{each} * each;
    std::cout << "step " << step << ": loss " << loss.value << ", accuracy " << accuracy
              << ", norm of the gradient at relu2 " << std::sqrt(norm) << "\n";
  }
  return check.ok() && accuracy > 0.95 ? 0 : 1;
}
