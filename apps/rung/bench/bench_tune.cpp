#include "bench/bench_tune.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <vector>

#include "rung/core/error.h"
#include "rung/exec/executor.h"
#include "rung/ops/layers.h"

namespace rung::cli {
namespace {

enum class Pass { forward, backward_data, backward_weights };
constexpr std::array kPasses = {Pass::forward, Pass::backward_data, Pass::backward_weights};
constexpr std::array kNames = {"forward", "backward_data", "backward_weights"};
constexpr int kRounds = 5;

struct Size {
  std::int64_t batch, side;
  std::int64_t tiles() const { return batch * (side / 4) * (side / 4); }
};
constexpr std::array kSizes = {Size{1, 4},  Size{1, 8},   Size{1, 12},  Size{1, 16}, Size{2, 16},
                               Size{4, 16}, Size{16, 16}, Size{16, 32}, Size{16, 56}};
constexpr std::array<std::int64_t, 7> kChannels = {8, 16, 32, 64, 128, 256, 512};

/// One convolution of a batch, of which one pass runs alone: the image is an input or a parameter,
/// and the weight is trained or not.
class Subject {
 public:
  Subject(Pass pass, std::int64_t channels, Size size, ConvAlgorithm algorithm)
      : pass_(pass), x_(noise({size.batch, channels, size.side, size.side})) {
    // Behind a convolution of 1 x 1, which has the layout that convolutions like.
    const Var image = graph_.input("x", x_.shape());
    const Var before =
        nn::conv2d(image, {.out_channels = channels, .kernel = 1, .bias = false}, "a");
    graph_.set_outputs({nn::conv2d(
        before, {.out_channels = channels, .kernel = 3, .padding = 1, .bias = false}, "conv")});
    for (Parameter* parameter : graph_.parameters()) parameter->edit() = noise(parameter->shape());
    graph_.parameter("a.weight").set_requires_grad(pass == Pass::backward_data);
    graph_.parameter("conv.weight").set_requires_grad(pass == Pass::backward_weights);
    executor_.emplace(graph_, ExecutorOptions{.conv_algorithm = algorithm, .profile = true});
    dy_ = noise({size.batch, channels, size.side, size.side});
  }
  /// Returns the mean seconds of a pass since the first step.
  double step() {
    (void)executor_->forward(x_, Mode::train);
    if (pass_ != Pass::forward) executor_->backward(dy_);
    for (const StepProfile& step : profile(executor_->plan())) {
      const bool backward = step.kernel.ends_with("backward");
      if (step.name == "conv" && backward == (pass_ != Pass::forward)) return step.seconds;
    }
    throw Error("bench --tune: the plan has no step conv");
  }

 private:
  static Tensor noise(const Shape& shape) {
    Tensor tensor(shape);
    Rng rng(1);
    for (float& value : tensor.data()) value = static_cast<float>(rng.uniform(-1, 1));
    return tensor;
  }
  Pass pass_;
  Graph graph_;
  Tensor x_, dy_;
  std::optional<Executor> executor_;
};

/// Returns how many times faster Winograd's convolution is.
double speedup(Pass pass, std::int64_t channels, Size size) {
  Subject direct(pass, channels, size, ConvAlgorithm::direct),
      winograd(pass, channels, size, ConvAlgorithm::winograd);
  double a = 0, b = 0;
  for (int i = 0; i < kRounds; ++i) {  // in turn
    a = direct.step();
    b = winograd.step();
  }
  return a / b;
}

}  // namespace

void print_conv_rules(const Console& console) {
  console.line(
      "times that Winograd's convolution is faster, by channels and tiles of 4 x 4 pixels");
  std::vector<std::string> rules;
  for (std::size_t p = 0; p < kPasses.size(); ++p) {
    std::string head = fmt::format("{:<20}", kNames[p]);
    for (const Size size : kSizes) head += fmt::format("{:>8}", size.tiles());
    console.line(head);
    for (const std::int64_t channels : kChannels) {
      std::string line = fmt::format("{:<20}", channels);
      std::optional<std::int64_t> from;  // tiles from which on it is always faster
      for (const Size size : kSizes) {
        const double ratio = speedup(kPasses[p], channels, size);
        line += fmt::format("{:8.2f}", ratio);
        if (ratio < 1.05)
          from.reset();
        else if (!from)
          from = size.tiles();
      }
      console.line(line);
      if (from)
        rules.push_back(fmt::format("{{ConvPass::{}, {}, {}}},", kNames[p], channels, *from));
    }
  }
  console.line("rules: pass, least channels, least tiles");
  for (const std::string& rule : rules) console.line(rule);
}

}  // namespace rung::cli
