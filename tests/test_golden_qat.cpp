// Quantization-aware training against AIMET's own runs: four SGD steps with fixed or learned
// ranges, batch norms folded or kept with frozen statistics.

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden_sim.h"
#include "rung/io/encodings.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/quantsim/batch_norm_fold.h"

using namespace rung;
using golden::SimRun;

namespace {

// The noise floor (tests/golden/README.md).
constexpr double kLoss = 3e-4;                                  // relative
constexpr double kGradientMedian = 6e-3, kGradientWorst = 0.2;  // relative L2 per tensor
constexpr double kRangeGradients = 2e-2;                        // all together, relative L2
constexpr double kMovement = 0.2;     // in four steps, all together, relative L2
constexpr double kFixedRange = 1e-6;  // of the width
constexpr double kLogitsMean = 1e-3, kLogitsLargest = 5e-3;

/// Splits "<quantizer>.min" into the quantizer's parameter, if the tensor belongs to one.
Parameter* range_parameter(QuantizationSimModel& sim, const std::string& name) {
  for (const QuantizerHandle& each : sim.quantizers()) {
    const std::string quantizer = each.aimet_name();
    if (name == quantizer + ".min") return each.parameters().at(0);
    if (name == quantizer + ".max") return each.parameters().at(1);
  }
  return nullptr;
}

/// The tensors of a results file whose names begin with `prefix`, without it.
std::map<std::string, const golden::Tensor*> with_prefix(const golden::Tensors& results,
                                                         const std::string& prefix) {
  std::map<std::string, const golden::Tensor*> found;
  for (const auto& [name, tensor] : results.all())
    if (name.starts_with(prefix)) found[name.substr(prefix.size())] = &results.at(name);
  return found;
}

std::vector<double> minus(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  std::vector<double> result(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) result[i] = double{a[i]} - b[i];
  return result;
}

void append(std::vector<double>& list, std::span<const double> values) {
  list.insert(list.end(), values.begin(), values.end());
}

void check_gradients(QuantizationSimModel& sim, const golden::Tensors& results,
                     golden::Report& report, golden::Floors& floors) {
  std::vector<double> errors, ranges_got, ranges_expected;
  for (const auto& [name, expected] : with_prefix(results, "grad0.")) {
    CAPTURE(name);
    Parameter* range = range_parameter(sim, name);
    Parameter& parameter = range != nullptr ? *range : sim.graph().parameter(name);
    REQUIRE(parameter.has_grad());
    const std::vector<double> got = golden::doubles(parameter.grad().data());
    const std::vector<double> wanted = golden::doubles(expected->floats);
    REQUIRE(got.size() == wanted.size());
    report.add(got.size());
    if (range == nullptr) {
      errors.push_back(golden::difference(got, wanted).relative_l2);
    } else {
      append(ranges_got, got);
      append(ranges_expected, wanted);
    }
  }
  REQUIRE(!errors.empty());
  std::ranges::sort(errors);
  floors.check("gradients (median)", errors[errors.size() / 2], kGradientMedian);
  floors.check("gradients (worst)", errors.back(), kGradientWorst);
  if (!ranges_got.empty())
    floors.check("gradients of ranges", golden::difference(ranges_got, ranges_expected).relative_l2,
                 kRangeGradients);
}

/// Values before training, by the names of the results file.
using Values = std::map<std::string, Tensor>;

Values values_before(QuantizationSimModel& sim, const golden::Tensors& results) {
  Values values;
  for (const auto& [name, expected] : with_prefix(results, "final.")) {
    Parameter* range = range_parameter(sim, name);
    values[name] = (range ? *range : sim.graph().parameter(name)).value().clone();
  }
  return values;
}

void check_final(const SimRun& run, QuantizationSimModel& sim, const Values& before,
                 const golden::Tensors& results, golden::Report& report, golden::Floors& floors) {
  std::vector<double> weights_got, weights_expected, ranges_got, ranges_expected;
  for (const auto& [name, expected] : with_prefix(results, "final.")) {
    CAPTURE(name);
    Parameter* range = range_parameter(sim, name);
    const Parameter& parameter = range != nullptr ? *range : sim.graph().parameter(name);
    const std::span<const float> start = before.at(name).data();
    const std::span<const float> got = parameter.value().data();
    report.add(got.size());
    if (range == nullptr) {
      append(weights_got, minus(got, start));
      append(weights_expected, minus(expected->floats, start));
      continue;
    }
    const std::string quantizer = name.substr(0, name.rfind('.'));
    const nlohmann::json& calibrated = run.quantizers.at(quantizer);
    REQUIRE(got.size() == expected->floats.size());
    for (std::size_t c = 0; c < got.size(); ++c) {
      const double steps = std::pow(2.0, calibrated.at("bitwidth").get<int>()) - 1;
      const double width = calibrated.at("scale")[c].get<double>() * steps;
      if (run.learns()) {
        ranges_got.push_back((double{got[c]} - start[c]) / width);
        ranges_expected.push_back((double{expected->floats[c]} - start[c]) / width);
        continue;
      }
      CHECK(got[c] == start[c]);
      CHECK(std::abs(double{got[c]} - expected->floats[c]) <= kFixedRange * width);
    }
  }
  floors.check("movements of weights",
               golden::difference(weights_got, weights_expected).relative_l2, kMovement);
  if (run.learns())
    floors.check("movements of ranges", golden::difference(ranges_got, ranges_expected).relative_l2,
                 kMovement);
}

/// Compares with the file that AIMET wrote after it had trained the ranges: the movements of
/// scales.
void check_learned_file(const SimRun& run, QuantizationSimModel& sim, golden::Report& report,
                        golden::Floors& floors) {
  const std::string file = "network/sim_" + run.name + "_encodings.json";
  const io::ModuleEncodingsFile expected = io::parse_module_encodings(golden::bytes(file), file);
  std::vector<double> got_moves, expected_moves;
  const auto add = [&](const QuantizerHandle& quantizer, const io::TensorEncoding& entry) {
    const Encoding got = quantizer.encoding();
    const nlohmann::json& start = run.quantizers.at(quantizer.aimet_name()).at("scale");
    REQUIRE(got.scale.size() == entry.scale.size());
    for (std::size_t c = 0; c < got.scale.size(); ++c) {
      const double before = start.at(c);
      got_moves.push_back((got.scale[c] - before) / before);
      expected_moves.push_back((entry.scale[c] - before) / before);
    }
  };
  for (const io::TensorEncoding& entry : expected.parameters) add(sim.quantizer(entry.name), entry);
  for (const io::ModuleEncoding& entry : expected.activations) {
    const bool is_input = entry.side == io::ModuleEncoding::Side::input;
    add(sim.quantizer(entry.module + (is_input ? ".input_quantizers." : ".output_quantizers.") +
                      std::to_string(entry.index)),
        entry.encoding);
  }
  floors.check("movements of scales", golden::difference(got_moves, expected_moves).relative_l2,
               kMovement);
  report.add(got_moves.size());
}

void check_qat(const SimRun& run, const golden::Tensors& data, golden::Report& report,
               golden::Floors& floors) {
  CAPTURE(run.name);
  const golden::Tensors results = golden::tensors("network/sim_" + run.name + ".safetensors");
  QuantizationSimModel sim = golden::make_sim(run);
  golden::calibrate(sim, run, data);
  freeze_bn_stats(sim.graph());  // "BatchNorm in eval mode" while everything else trains
  const Values before = values_before(sim, results);
  sim.executor().set_conv_algorithm(golden::conv_algorithm());
  nn::Sgd sgd(sim.graph().parameters(), {.lr = 0.01, .momentum = 0.9});
  REQUIRE(run.qat_losses.size() == 4);
  for (std::size_t step = 0; step < run.qat_losses.size(); ++step) {
    const std::string index = std::to_string(step);
    const Tensor logits = sim.executor().forward(golden::tensor(data.at("x" + index)), Mode::train);
    const nn::Loss loss = nn::cross_entropy(logits, data.at("y" + index).integers);
    sgd.zero_grad();
    sim.executor().backward(loss.gradient);
    CAPTURE(step);
    floors.check("losses", std::abs(loss.value / run.qat_losses[step] - 1), kLoss);
    report.add();
    if (step == 0) check_gradients(sim, results, report, floors);
    sgd.step();
  }
  const Tensor logits =
      sim.executor().forward(golden::tensor(data.at("x3")));  // makes ranges legal
  check_final(run, sim, before, results, report, floors);
  if (run.learns()) check_learned_file(run, sim, report, floors);
  const auto d = golden::difference(golden::doubles(logits.data()),
                                    golden::doubles(results.floats("final_eval_logits")));
  floors.check("final logits (mean)", d.mean, kLogitsMean);
  floors.check("final logits (largest)", d.largest, kLogitsLargest);
  report.add(logits.data().size());
  results.at("eval_logits");  // looked at by the calibration suite
  golden::check_all_used(results);
}

}  // namespace

TEST_SUITE("golden network: sim training") {
  TEST_CASE("four steps of quantization-aware training are AIMET's in every run") {
    golden::Report report("golden network: sim training");
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    golden::Floors floors;
    for (const SimRun& run : golden::sim_runs()) check_qat(run, data, report, floors);
    floors.note(report);
  }
}
