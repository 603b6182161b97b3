// Whole networks train with every kind of quantizer, whichever way the plan keeps memory.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rung/graph/kernel.h"
#include "rung/models.h"
#include "rung/nn/optim.h"
#include "rung/quantsim/config_utils.h"
#include "support/quant_helpers.h"
#include "support/quantsim_net.h"
#include "support/train_step.h"

using namespace rung;

namespace {

/// A user's quantizer that takes numbers in any order: three values, and gradients as they come.
/// Its encoding is not what it computes.
class Ternary : public Quantizer {
 public:
  explicit Ternary(bool in_order) : Quantizer({.bitwidth = 2}), in_order_(in_order) {}
  std::string_view kind() const override { return "ternary"; }
  std::vector<ParameterSpec> parameters() const override { return {}; }
  Encoding encoding(ParameterView) const override { return {}; }
  void initialize(std::span<const Range>, MutableParameterView) const override {}
  void chain(const EncodingGradient&, const Encoding&, ParameterView,
             MutableParameterView) const override {}
  bool runs_fused() const override { return false; }
  bool any_order() const override { return !in_order_; }
  void forward(const QuantizeIo& io) const override {
    for (std::size_t i = 0; i < io.x.size(); ++i)
      io.y[i] = io.x[i] > 0.3f ? 0.7f : io.x[i] < -0.3f ? -0.7f : 0.0f;
  }
  void backward(const QuantizeGradIo& io) const override {
    if (!io.dx.empty()) std::ranges::copy(io.dy, io.dx.begin());
  }
  std::unique_ptr<Quantizer> clone() const override { return std::make_unique<Ternary>(*this); }

 private:
  bool in_order_;
};

/// A user's quantizer in the fused kernels that says what cannot be.
class Boastful : public RangeQuantizer {
 public:
  explicit Boastful(bool wide) : RangeQuantizer({.bitwidth = 8}), wide_(wide) {}
  std::string_view kind() const override { return "boastful"; }
  Encoding encoding(ParameterView p) const override {
    Encoding encoding = AffineQuantizer(options()).encoding(p);
    if (wide_)
      encoding.grid.qmax = 4095;
    else
      encoding.scale.clear();
    return encoding;
  }
  std::unique_ptr<Quantizer> clone() const override { return std::make_unique<Boastful>(*this); }

 private:
  bool wide_;
};

/// A sim in which every activation or every weight has a quantizer of `make`'s.
struct Kind {
  std::string name;
  bool weights;
  std::function<std::unique_ptr<Quantizer>(const QuantizerHandle& old)> make;
};

std::vector<Kind> kinds() {
  const auto options = [](const QuantizerHandle& old, int bitwidth) {
    QuantizerOptions options = old.op().quantizer().options();
    options.bitwidth = bitwidth;
    return options;
  };
  std::vector<Kind> all;
  for (const int bitwidth : {2, 4, 8, 12, 16}) {
    const std::string bits = std::to_string(bitwidth);
    all.push_back({"affine of " + bits, false, [=](const QuantizerHandle& old) {
                     return std::make_unique<AffineQuantizer>(options(old, bitwidth));
                   }});
    all.push_back({"lsq of " + bits, false, [=](const QuantizerHandle& old) {
                     return std::make_unique<LsqQuantizer>(options(old, bitwidth));
                   }});
    all.push_back({"stochastic of " + bits, false, [=](const QuantizerHandle& old) {
                     QuantizerOptions own = options(old, bitwidth);
                     own.stochastic_rounding = true;
                     return std::make_unique<AffineQuantizer>(own);
                   }});
  }
  for (const FloatFormat& format : {kFloat16, kBfloat16, kFloat8E4m3, kFloat8E4m3fn, kFloat8E5m2})
    for (const bool weights : {false, true})
      all.push_back({std::string(format.name), weights, [=](const QuantizerHandle&) {
                       return std::make_unique<FloatQuantizer>(format);
                     }});
  for (const bool weights : {false, true})
    for (const bool in_order : {false, true})
      all.push_back({"ternary", weights,
                     [=](const QuantizerHandle&) { return std::make_unique<Ternary>(in_order); }});
  return all;
}

/// One step after calibration; how the plan keeps memory must not show.
StepResult step_of(const Kind& kind, const ExecutorOptions& options) {
  QuantizationSimModel sim(
      models::resnet8({.in_channels = 3, .num_classes = 5, .image_size = 12}, Rng(1)),
      {.quant_scheme = QuantScheme::post_training_tf});
  std::vector<std::string> names;
  for (const QuantizerHandle& each : sim.quantizers())
    if ((each.place() == QuantizerPlace::parameter) == kind.weights) names.push_back(each.name());
  for (const std::string& name : names)
    replace_quantizer(sim.graph(), sim.quantizer(name), kind.make(sim.quantizer(name)));
  sim.compute_encodings([](Executor& executor) { executor.forward(noise({4, 3, 12, 12}, 7)); });
  StepResult result = train_step(sim.graph(), options);
  // A second step follows the weights that moved.
  nn::Sgd(sim.graph().parameters(), {.lr = 0.01}).step();
  const StepResult second = train_step(sim.graph(), options);
  for (const auto& [name, gradient] : second.gradients)
    result.gradients[name + " later"] = gradient;
  return result;
}

}  // namespace

TEST_SUITE("quantsim: training with all kinds of quantizers") {
  TEST_CASE("every kind trains under every memory policy and layout, to the same numbers") {
    for (const Kind& kind : kinds()) {
      CAPTURE(kind.name);
      CAPTURE(kind.weights);
      const StepResult kept = step_of(kind, {.memory = MemoryPolicy::keep_all});
      for (const auto& [name, gradient] : kept.gradients)
        CHECK(std::ranges::all_of(gradient.data(), [](float x) { return std::isfinite(x); }));
      const StepResult arena = step_of(kind, {});
      CHECK(difference(arena.logits, kept.logits) == 0);
      for (const auto& [name, gradient] : kept.gradients)
        CHECK(difference(arena.gradients.at(name), gradient) == 0);
      CHECK_NOTHROW(step_of(kind, {.layout = LayoutPolicy::plain, .fuse = false}));
    }
  }

  TEST_CASE("blocks and grouped blocks of weights train under every memory policy") {
    const auto step = [](bool grouped, MemoryPolicy memory) {
      QuantizationSimModel sim(
          models::resnet8({.in_channels = 4, .num_classes = 5, .image_size = 12}, Rng(1)),
          {.quant_scheme = QuantScheme::training_range_learning_with_tf_init});
      const NodePredicate nodes = nodes_of_type({"Conv", "Gemm"});
      if (grouped)
        set_grouped_blockwise_quantization_for_weights(sim, nodes,
                                                       {.bitwidth = 4, .block_size = 4});
      else
        set_blockwise_quantization_for_weights(sim, nodes, {.bitwidth = 4, .block_size = 4});
      sim.compute_encodings([](Executor& executor) { executor.forward(noise({4, 4, 12, 12}, 7)); });
      return train_step(sim.graph(), {.memory = memory});
    };
    for (const bool grouped : {false, true}) {
      const StepResult arena = step(grouped, MemoryPolicy::arena);
      const StepResult kept = step(grouped, MemoryPolicy::keep_all);
      for (const auto& [name, gradient] : kept.gradients)
        CHECK(difference(arena.gradients.at(name), gradient) == 0);
    }
  }

  TEST_CASE("an encoding that does not fit its quantizer is an error, not a crash") {
    for (const bool wide : {true, false}) {
      QuantizationSimModel sim(small_net(), {});
      replace_quantizer(sim.graph(), sim.quantizer("relu1"), std::make_unique<Boastful>(wide));
      calibrate_small_net(sim);
      const std::string message = message_of([&] { train_step(sim.graph(), {}); });
      CHECK(message.starts_with("[QuantizeDequantize conv1 + relu1 + relu1.qdq] a quantizer of "));
      CHECK(message.ends_with(wide ? "boastful and 8 bits has more codes than that: 0 .. 4095"
                                   : "boastful must have 1 scales and offsets, got 0 and 1"));
    }
  }
}
