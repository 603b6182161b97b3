#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/quantsim/range_watch.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

QuantizationSimModel learned_sim(QuantScheme scheme, const std::string& config = "default") {
  QuantizationSimModel sim(small_net(), {.quant_scheme = scheme, .config_file = config});
  calibrate_small_net(sim);
  return sim;
}

void multiply(QuantizerHandle quantizer, float factor) {
  for (Parameter* parameter : quantizer.parameters())
    for (float& x : parameter->edit().data()) x *= factor;
}

std::vector<std::string> names(const std::vector<CollapsedRange>& collapsed) {
  std::vector<std::string> all;
  for (const CollapsedRange& each : collapsed) all.push_back(each.quantizer);
  return all;
}

const auto kRange = QuantScheme::training_range_learning_with_tf_init;
const auto kLsq = QuantScheme::training_lsq_with_tf_init;

}  // namespace

TEST_SUITE_BEGIN("quantsim range watch");

TEST_CASE("a range that shrinks to less than a thousandth is reported, once") {
  for (const QuantScheme& scheme : {kRange, kLsq}) {
    QuantizationSimModel sim = learned_sim(scheme);
    RangeWatch watch(sim);
    CHECK(watch.check().empty());
    multiply(sim.quantizer("conv2.weight"), 2e-3f);
    CHECK(watch.check().empty());
    multiply(sim.quantizer("conv2.weight"), 0.4f);
    multiply(sim.quantizer("relu1"), 1e-12f);
    const std::vector<CollapsedRange> collapsed = watch.check();
    CHECK(names(collapsed) == std::vector<std::string>{"relu1", "conv2.weight"});
    CHECK(collapsed.front().reason.starts_with("its learned scale fell from "));
    CHECK(watch.check().empty());
  }
}

TEST_CASE("a range that grows a thousandfold is reported, unless it began at the smallest") {
  QuantizationSimModel sim = learned_sim(kRange);
  sim.quantizer("conv2.weight").set_range({0.0f, 0.0f});
  RangeWatch watch(sim);
  multiply(sim.quantizer("relu1"), 900.0f);
  multiply(sim.quantizer("conv2.weight"), 1e5f);
  CHECK(watch.check().empty());
  multiply(sim.quantizer("relu1"), 2.0f);
  const std::vector<CollapsedRange> collapsed = watch.check();
  CHECK(names(collapsed) == std::vector<std::string>{"relu1"});
  CHECK(collapsed.front().reason.starts_with("its learned scale rose from "));
}

TEST_CASE("training that goes on from a checkpoint is measured against its beginning") {
  QuantizationSimModel sim = learned_sim(kRange);
  std::optional<QuantizationSimModel> start = learned_sim(kRange);
  multiply(sim.quantizer("relu1"), 1e-4f);
  CHECK(RangeWatch(sim).check().empty());
  RangeWatch watch(sim.graph(), start->graph());
  start.reset();
  CHECK(names(watch.check()) == std::vector<std::string>{"relu1"});
}

TEST_CASE(
    "a step that leaves a range upside down is one that collapsed, NaN one that is not finite") {
  QuantizationSimModel sim = learned_sim(kRange);
  RangeWatch watch(sim);
  const std::vector<Parameter*> range = sim.quantizer("relu1").parameters();
  range[0]->edit().data()[0] = 3.0f;  // min
  range[1]->edit().data()[0] = -2.0f;
  sim.quantizer("conv1.weight").parameters()[1]->edit().data()[0] =
      std::numeric_limits<float>::quiet_NaN();
  const std::vector<CollapsedRange> collapsed = watch.check();
  CHECK(names(collapsed) == std::vector<std::string>{"conv1.weight", "relu1"});
  CHECK(collapsed.front().reason == "its learned range is not finite");
}

TEST_CASE("of a quantizer per channel it is told how many scales collapsed") {
  QuantizationSimModel sim = learned_sim(kRange, "per_channel");
  RangeWatch watch(sim);
  for (Parameter* parameter : sim.quantizer("conv2.weight").parameters())
    parameter->edit().data()[1] = 0.0f;
  const std::vector<CollapsedRange> collapsed = watch.check();
  REQUIRE(collapsed.size() == 1);
  CHECK(collapsed.front().reason.starts_with("1 of its 3 learned scales collapsed, number 1 from"));
}

TEST_CASE(
    "ranges that are not trained are left alone, and so are those that began at the minimum") {
  QuantizationSimModel fixed = learned_sim(QuantScheme::post_training_tf);
  RangeWatch none(fixed);
  fixed.quantizer("conv2.weight").set_range({-1e-9f, 1e-9f});
  CHECK(none.check().empty());

  QuantizationSimModel sim = learned_sim(kRange);
  sim.quantizer("conv1.weight").freeze();
  sim.quantizer("relu1").set_range({0.0f, 0.0f});
  RangeWatch watch(sim);
  multiply(sim.quantizer("conv1.weight"), 1e-9f);
  multiply(sim.quantizer("relu1"), 0.5f);
  multiply(sim.quantizer("conv2.weight"), 1e-9f);
  sim.quantizer("conv2.weight").disable();
  CHECK(watch.check().empty());
}

TEST_CASE("training with a learning rate that is far too large is noticed") {
  for (const double lr : {1e-4, 1e4}) {
    QuantizationSimModel sim = learned_sim(kRange);
    RangeWatch watch(sim);
    nn::Sgd sgd(sim.graph().parameters(Role::encoding), {.lr = lr});
    std::size_t collapsed = 0;
    for (std::uint64_t step = 0; step < 20; ++step) {
      const Tensor logits = sim.executor().forward(random_tensor({4, 2, 6, 6}, step), Mode::train);
      const nn::Loss loss = nn::cross_entropy(logits, std::vector<std::int64_t>{0, 1, 2, 3});
      sgd.zero_grad();
      sim.executor().backward(loss.gradient);
      sgd.step();
      collapsed += watch.check().size();
    }
    CHECK((collapsed > 0) == (lr > 1));
  }
}

TEST_SUITE_END();
