// A layer from outside of the library: what it says of itself (Op::traits) is all that simulation
// and initialization know of it.

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "ops/linear/bias_scales.h"
#include "rung/graph/kernel.h"
#include "rung/ops/init.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

/// y = x weight + bias for x [N, I], bias [O], weight [I, O], in this order: no layer of the
/// library lies like that.
struct Mixer final : SimpleOp<Mixer> {
  static constexpr std::string_view kType = "TestMixer";
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    return {Shape{inputs[0][0], inputs[2][1]}};
  }
  Traits traits() const override {
    return {.weighted = Weighted{.weight = 2, .bias = 1, .output_axis = 1},
            .first_values = FirstValues::matrix};
  }
  void forward(const Io& io) const {
    const float *x = io.input(0).data, *bias = io.input(1).data, *weight = io.input(2).data;
    const std::int64_t inputs = (*io.input(2).shape)[0], outputs = (*io.input(2).shape)[1];
    float* y = io.output(0).data;
    for (std::int64_t i = 0; i < io.output(0).count; ++i) {
      y[i] = bias[i % outputs];
      for (std::int64_t k = 0; k < inputs; ++k)
        y[i] += x[i / outputs * inputs + k] * weight[k * outputs + i % outputs];
    }
  }
  void backward(const GradIo&) const {}
};

constexpr std::int64_t kInputs = 5, kOutputs = 3;

Graph mixing_net() {
  Graph graph;
  const Var x = graph.input("x", {2, kInputs});
  const Var bias = graph.parameter("mix.b", Tensor({kOutputs}), Role::weight);
  const Var weight = graph.parameter("mix.w", Tensor({kInputs, kOutputs}), Role::weight);
  graph.set_outputs({graph.add(std::make_unique<Mixer>(), {x, bias, weight}, "mix")});
  Rng rng(4);
  for (Parameter* parameter : graph.parameters())
    for (float& v : parameter->edit().data()) v = static_cast<float>(rng.normal());
  return graph;
}

}  // namespace

TEST_SUITE("quantsim: traits") {
  TEST_CASE("a layer from outside is quantized by what it says of itself") {
    QuantizationSimModel sim(mixing_net(), {.config_file = "aimet_2024_per_channel"});
    sim.compute_encodings([](Executor& executor) { executor.forward(random_tensor({4, 5}, 1)); });
    std::vector<std::string> names;
    for (const QuantizerHandle& each : sim.quantizers()) names.push_back(each.name());
    CHECK(names == std::vector<std::string>{"mix.input0", "mix.w", "mix"});  // the bias stays float
    const Encoding weight = sim.quantizer("mix.w").encoding();
    CHECK(weight.axis == 1);
    REQUIRE(weight.scale.size() == kOutputs);
    const std::vector<float> scales = bias_scales(sim.graph().node("mix"));
    REQUIRE(scales.size() == kOutputs);
    for (std::size_t c = 0; c < scales.size(); ++c)
      CHECK(scales[c] == sim.quantizer("mix.input0").encoding().scale[0] * weight.scale[c]);
  }

  TEST_CASE("a layer from outside begins with values of its scheme") {
    Graph graph = mixing_net();
    nn::init_parameters(graph, Rng(1), {.linear = nn::InitScheme::normal_0_01});
    for (const float w : graph.parameter("mix.w").value().data()) {
      CHECK(w != 0.0f);
      CHECK(std::abs(w) < 0.06f);
    }
  }
}
