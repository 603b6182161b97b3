// What a sim is made with, beyond placement: data types, rounding, what training does to ranges.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/quantsim/quantsim.h"
#include "support/quant_helpers.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

const Shape kInput{8, 2, 6, 6};

void calibrate_once(QuantizationSimModel& sim) {
  sim.compute_encodings([](Executor& executor) { executor.forward(random_tensor(kInput, 1)); });
}

QuantizationSimModel calibrated_once(const QuantSimOptions& options) {
  QuantizationSimModel sim(small_net(), options);
  calibrate_once(sim);
  return sim;
}

Tensor eval(QuantizationSimModel& sim) { return sim.executor().forward(random_tensor(kInput, 3)); }

/// One step on random data; returns the loss before it.
double step(QuantizationSimModel& sim, nn::Optimizer& optimizer, std::uint64_t seed = 3) {
  const std::vector<std::int64_t> labels = {0, 1, 2, 3, 0, 1, 2, 3};
  const Tensor logits = sim.executor().forward(random_tensor(kInput, seed), Mode::train);
  const nn::Loss loss = nn::cross_entropy(logits, labels);
  optimizer.zero_grad();
  sim.executor().backward(loss.gradient);
  optimizer.step();
  return loss.value;
}

}  // namespace

TEST_SUITE("quantsim: options") {
  TEST_CASE("with an LSQ scheme scales are trained and zero points stay") {
    QuantizationSimModel sim =
        calibrated_once({.quant_scheme = QuantScheme::training_lsq_with_tf_enhanced_init,
                         .default_output_bw = 3,
                         .default_param_bw = 3,
                         .config_file = "per_channel"});
    std::vector<std::vector<std::int64_t>> offsets;
    std::vector<std::vector<float>> scales;
    for (const QuantizerHandle& each : sim.quantizers()) {
      CHECK(each.op().quantizer().kind() == LsqQuantizer::kKind);
      CHECK(each.learned());
      offsets.push_back(each.encoding().offset);
      scales.push_back(each.encoding().scale);
    }
    nn::Sgd sgd(sim.graph().parameters(), {.lr = 0.05, .momentum = 0.9});
    const double first = step(sim, sgd);
    double last = first;
    for (int i = 0; i < 30; ++i) last = step(sim, sgd);
    CHECK(last < 0.8 * first);
    std::size_t moved = 0, index = 0;
    for (const QuantizerHandle& each : sim.quantizers()) {
      CHECK(each.encoding().offset == offsets[index]);
      moved += each.encoding().scale != scales[index++] ? 1 : 0;
    }
    CHECK(moved == index);
    eval(sim);
    CHECK_NOTHROW(calibrate_once(sim));  // and it can be calibrated anew
  }

  TEST_CASE("a sim of floats rounds everything to float16, or lets it pass at 32 bits") {
    QuantizationSimModel half =
        calibrated_once({.default_output_bw = 16,
                         .default_param_bw = 16,
                         .default_data_type = QuantizationDataType::floating});
    for (const QuantizerHandle& each : half.quantizers()) CHECK(each.encoding().format == kFloat16);
    Graph graph = small_net();
    Executor executor(graph);
    const Tensor exact = executor.forward(random_tensor(kInput, 3));
    const Tensor rounded = eval(half);
    CHECK_FALSE(equal(rounded, exact));
    for (std::size_t i = 0; i < exact.data().size(); ++i)
      CHECK(rounded.data()[i] == doctest::Approx(exact.data()[i]).epsilon(0.01));
    for (const float each : rounded.data()) {  // the logits went through float16 last
      float again = 0;
      float_quantize_dequantize({&each, 1}, kFloat16, {&again, 1});
      CHECK(again == each);
    }
    QuantizationSimModel full(small_net(), {.default_output_bw = 32,
                                            .default_param_bw = 32,
                                            .default_data_type = QuantizationDataType::floating});
    calibrate_once(full);
    CHECK(equal(eval(full), exact));
  }

  TEST_CASE("recomputed weight ranges are those of the present weights, after every step") {
    QuantizationSimModel sim = calibrated_once({.quant_scheme = QuantScheme::post_training_tf,
                                                .default_param_bw = 4,
                                                .weight_ranges = WeightRanges::recomputed,
                                                .config_file = "per_channel"});
    nn::Sgd sgd(sim.graph().parameters(), {.lr = 0.5});
    for (int i = 0; i < 3; ++i) step(sim, sgd, 3 + static_cast<std::uint64_t>(i));
    eval(sim);  // brings them up to date: the optimizer had the last word
    QuantizationSimModel fresh(sim.get_original_model(),
                               {.quant_scheme = QuantScheme::post_training_tf,
                                .default_param_bw = 4,
                                .config_file = "per_channel"});
    fresh.compute_param_encodings();
    for (const QuantizerHandle& each : sim.quantizers()) {
      if (each.place() != QuantizerPlace::parameter) continue;
      CHECK(each.encoding().scale == fresh.quantizer(each.name()).encoding().scale);
    }
    // Fixed ones stay.
    QuantizationSimModel fixed =
        calibrated_once({.quant_scheme = QuantScheme::post_training_tf, .default_param_bw = 4});
    const auto before = fixed.quantizer("conv1.weight").encoding().scale;
    nn::Sgd other(fixed.graph().parameters(), {.lr = 0.5});
    step(fixed, other);
    eval(fixed);
    CHECK(fixed.quantizer("conv1.weight").encoding().scale == before);
  }

  TEST_CASE("stochastic rounding is for training only and repeats with the executor's seed") {
    QuantSimOptions options{.default_output_bw = 4, .default_param_bw = 4};
    QuantizationSimModel nearest = calibrated_once(options);
    options.rounding_mode = RoundingMode::stochastic;
    QuantizationSimModel a = calibrated_once(options), b = calibrated_once(options);
    CHECK(equal(eval(a), eval(nearest)));
    const Tensor x = random_tensor(kInput, 3);
    const Tensor first = a.executor().forward(x, Mode::train);
    CHECK_FALSE(equal(first, nearest.executor().forward(x, Mode::train)));
    CHECK(equal(first, b.executor().forward(x, Mode::train)));
    QuantizationSimModel c = calibrated_once(options);
    c.executor().set_seed(9);
    CHECK_FALSE(equal(first, c.executor().forward(x, Mode::train)));
  }

  TEST_CASE("learned ranges keep zero and never cross, whatever the learning rate") {
    for (const QuantScheme& scheme : {QuantScheme::training_range_learning_with_tf_init,
                                      QuantScheme::training_lsq_with_tf_init})
      for (const double lr : {1.0, 100.0, 1e6}) {
        QuantizationSimModel sim =
            calibrated_once({.quant_scheme = scheme, .default_output_bw = 4});
        nn::Sgd sgd(sim.graph().parameters(Role::encoding), {.lr = lr});
        for (int i = 0; i < 5; ++i) {
          step(sim, sgd);
          eval(sim);
          for (const QuantizerHandle& each : sim.quantizers()) {
            CAPTURE(each.name());
            const Encoding e = each.encoding();
            for (std::size_t c = 0; c < e.scale.size(); ++c) {
              CHECK(std::isfinite(e.scale[c]));
              CHECK(e.scale[c] > 0.0f);
              CHECK(-e.offset[c] >= e.grid.qmin);
              CHECK(-e.offset[c] <= e.grid.qmax);
            }
            for (const Range& range : each.ranges()) CHECK(range.min <= 0.0f);
            for (const Range& range : each.ranges()) CHECK(range.max >= 0.0f);
          }
        }
      }
  }

  TEST_CASE("options come back from the state, and contradicting ones are refused") {
    QuantSimOptions options{.quant_scheme = QuantScheme::post_training_tf,
                            .default_output_bw = 16,
                            .default_param_bw = 16,
                            .default_data_type = QuantizationDataType::floating,
                            .rounding_mode = RoundingMode::stochastic,
                            .weight_ranges = WeightRanges::recomputed};
    QuantizationSimModel sim(small_net(), options);
    const QuantSimOptions back =
        QuantizationSimModel::from_state(sim.graph().clone(), sim.state()).options();
    CHECK(back.default_data_type == options.default_data_type);
    CHECK(back.rounding_mode == options.rounding_mode);
    CHECK(back.weight_ranges == options.weight_ranges);

    const auto refused = [](const QuantSimOptions& wrong) {
      return message_of([&] { QuantizationSimModel(small_net(), wrong); });
    };
    options.default_param_bw = 8;
    CHECK(refused(options).find("16 or 32, got 8") != std::string::npos);
    options.default_param_bw = 16;
    options.edge_bw = 8;
    CHECK(refused(options).find("edge_bw") != std::string::npos);
    CHECK(refused({.quant_scheme = QuantScheme::training_lsq_with_tf_init,
                   .weight_ranges = WeightRanges::recomputed})
              .find("recomputed") != std::string::npos);
    CHECK(parse_quant_scheme("lsq_tf") == QuantScheme::training_lsq_with_tf_init);
    CHECK(parse_quant_scheme("training_lsq_with_tf_enhanced_init").quantizer == "lsq");
  }
}
