#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden.h"
#include "golden/golden_model.h"
#include "golden/golden_sim.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/quantsim.h"
#include "support/batch_norm_1d.h"

// Two layers with batch norms folded in simulation, trained by PyTorch's
// torch.nn.intrinsic.qat.ConvBn2d and LinearBn1d (tests/golden/README.md, conv_bn).

using namespace rung;

namespace {

constexpr double kTolerance = 1e-4;  // of the tensor's largest element
// The batch's mean takes the layer's bias away: its gradient is rounding noise in PyTorch, 0 here.
constexpr double kNoise = 1e-6;

struct Sizes {
  std::int64_t stride = 1, groups = 1;
};

/// conv1, bn1, relu1, conv2, bn2, relu2, flatten, fc; conv1 and conv2 may be linear layers.
Graph network(const nlohmann::json& run, const golden::Tensors& data) {
  const golden::Tensor& x = data.at("x0");
  const bool is_conv = run.at("layer") == "conv", bias = data.contains("init.conv1.bias");
  Graph graph;
  const auto layer = [&](Var in, const std::string& index, const Sizes& sizes) {
    const std::int64_t channels = data.at("init.conv" + index + ".weight").shape.at(0);
    const std::string name = "conv" + index;
    if (is_conv)
      in = nn::conv2d(in,
                      {.out_channels = channels,
                       .kernel = 3,
                       .stride = sizes.stride,
                       .padding = 1,
                       .groups = sizes.groups,
                       .bias = bias},
                      name);
    else
      in = nn::linear(in, {.out_features = channels, .bias = bias}, name);
    const float epsilon = run.at("epsilon"), momentum = run.at("momentum");
    const nn::BatchNorm2dOptions norm{.epsilon = epsilon, .momentum = momentum};
    in = is_conv ? nn::batch_norm2d(in, norm, "bn" + index) : batch_norm1d(in, norm, "bn" + index);
    return nn::relu(in, "relu" + index);
  };
  Var y = layer(graph.input("x", Shape(x.shape)), "1", {});
  y = layer(y, "2", {.stride = run.at("stride2"), .groups = run.at("groups2")});
  if (is_conv) y = nn::flatten(y, "flatten");
  graph.set_outputs({nn::linear(y, {.out_features = 5}, "fc")});
  for (Parameter* parameter : graph.parameters())
    parameter->edit().copy_from(golden::tensor(data.at("init." + parameter->name())));
  return graph;
}

/// Gives the quantizers that PyTorch had its scales and zero points and switches the others off.
void set_quantizers(QuantizationSimModel& sim, const nlohmann::json& expected,
                    golden::Report& report) {
  std::size_t found = 0;
  for (QuantizerHandle each : sim.quantizers()) {
    CAPTURE(each.name());
    if (!expected.contains(each.name())) {
      each.disable();
      continue;
    }
    ++found;
    const nlohmann::json& entry = expected.at(each.name());
    each.set_bitwidth(entry.at("bitwidth"));
    each.set_symmetric(entry.at("symmetric"));
    const Grid grid = each.op().quantizer().grid();
    std::vector<Range> ranges;
    for (std::size_t c = 0; c < entry.at("scale").size(); ++c) {
      const float scale = entry.at("scale")[c];
      const std::int64_t zero_point = entry.at("zero_point")[c];
      ranges.push_back({static_cast<float>(grid.qmin - zero_point) * scale,
                        static_cast<float>(grid.qmax - zero_point) * scale});
    }
    each.set_ranges(ranges);
    const Encoding encoding = each.encoding();
    REQUIRE(encoding.scale.size() == ranges.size());
    for (std::size_t c = 0; c < ranges.size(); ++c) {
      CHECK(encoding.scale[c] == entry.at("scale")[c].get<float>());
      CHECK(encoding.offset[c] == -entry.at("zero_point")[c].get<std::int64_t>());
    }
    report.add(2 * ranges.size());
  }
  CHECK(found == expected.size());
}

/// Compares a tensor, relative to its largest element.
void check(const std::string& what, const ConstTensor& got, const golden::Tensor& expected,
           golden::Report& report, golden::Floors& floors) {
  const auto error =
      golden::difference(golden::doubles(got.data()), golden::doubles(expected.floats)).largest;
  double largest = 0;
  for (const float v : expected.floats) largest = std::max(largest, std::abs(double{v}));
  floors.check(what, error / largest, kTolerance);
  report.add(expected.floats.size());
}

void check_gradients(QuantizationSimModel& sim, const std::string& step, bool frozen,
                     const golden::Tensors& data, golden::Report& report, golden::Floors& floors) {
  for (Parameter* parameter : sim.graph().parameters()) {
    const std::string name = step + ".grad." + parameter->name();
    if (!data.contains(name)) continue;
    CAPTURE(name);
    const golden::Tensor& expected = data.at(name);
    REQUIRE(parameter->has_grad());
    const bool noise =
        !frozen && parameter->name().starts_with("conv") && parameter->name().ends_with(".bias");
    if (!noise) {
      check("gradients", parameter->grad(), expected, report, floors);
      continue;
    }
    for (const float v : parameter->grad().data()) CHECK(v == 0.0f);
    for (const float v : expected.floats) CHECK(std::abs(v) <= kNoise);
    report.add(expected.floats.size());
  }
}

void check_parameters(QuantizationSimModel& sim, const std::string& step,
                      const golden::Tensors& data, golden::Report& report, golden::Floors& floors) {
  for (Parameter* parameter : sim.graph().parameters()) {
    const std::string name = step + "." + parameter->name();
    if (!data.contains(name)) continue;
    CAPTURE(name);
    check(parameter->role() == Role::buffer ? "statistics" : "parameters", parameter->value(),
          data.at(name), report, floors);
  }
}

/// The folded network: PyTorch's codes of every weight, and its logits.
void check_folded(QuantizationSimModel& sim, const nlohmann::json& run, const golden::Tensors& data,
                  golden::Report& report, golden::Floors& floors) {
  const auto logits = [&] { return sim.executor().forward(golden::tensor(data.at("x3"))); };
  check("logits in evaluation", logits(), data.at("eval_logits"), report, floors);
  CHECK(fold_simulated_batch_norms(sim.graph()) == 2);
  sim.graph().check();
  for (const char* name : {"conv1.weight", "conv2.weight", "fc.weight"}) {
    CAPTURE(name);
    REQUIRE(run.at("quantizers").contains(name));
    const std::vector<std::int32_t> codes =
        quantize(sim.graph().parameter(name).value().data(), sim.graph().parameter(name).shape(),
                 sim.quantizer(name).encoding());
    const golden::Tensor& expected = data.at(std::string("codes.") + name);
    CHECK(std::ranges::equal(codes, expected.integers));
    report.add(codes.size());
  }
  check("logits of the folded network", logits(), data.at("eval_logits"), report, floors);
}

void check_run(const nlohmann::json& run, golden::Report& report, golden::Floors& floors) {
  const std::string name = run.at("name");
  CAPTURE(name);
  const golden::Tensors data = golden::tensors("conv_bn/" + name + ".safetensors");
  QuantizationSimModel sim(
      network(run, data),
      {.config_file = run.at("per_channel") ? "aimet_2024_per_channel" : "aimet_2024",
       .batch_norms = BatchNormMode::fold_in_simulation});
  set_quantizers(sim, run.at("quantizers"), report);
  sim.executor().set_conv_algorithm(golden::conv_algorithm());
  nn::Sgd sgd(sim.graph().parameters(),
              {.lr = run.at("sgd").at("lr"), .momentum = run.at("sgd").at("momentum")});
  const std::size_t frozen_from = run.at("frozen_from_step");
  const std::vector<double> losses = run.at("losses");
  REQUIRE(losses.size() > frozen_from);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    CAPTURE(i);
    if (i == frozen_from) freeze_bn_stats(sim.graph());
    const std::string index = std::to_string(i), step = "step" + index;
    const Tensor logits = sim.executor().forward(golden::tensor(data.at("x" + index)), Mode::train);
    const nn::Loss loss = nn::cross_entropy(logits, data.at("y" + index).integers);
    sgd.zero_grad();
    sim.executor().backward(loss.gradient);
    floors.check("losses", std::abs(loss.value / losses[i] - 1), kTolerance);
    report.add();
    check_gradients(sim, step, i >= frozen_from, data, report, floors);
    sgd.step();
    check_parameters(sim, step, data, report, floors);
  }
  check_folded(sim, run, data, report, floors);
  golden::check_all_used(data);
}

}  // namespace

TEST_SUITE("golden conv_bn") {
  TEST_CASE("training with batch norms folded in simulation is PyTorch's, step by step") {
    golden::Report report("golden conv_bn");
    golden::Floors floors;
    const nlohmann::json runs = golden::cases("conv_bn/conv_bn.json");
    CHECK(golden::files("conv_bn", "").size() == runs.size() + 1);
    for (const auto& run : runs) check_run(run, report, floors);
    floors.note(report);
  }
}
