#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/analysis/analyze.h"
#include "rung/quantsim/config_utils.h"
#include "rung/quantsim/quantsim.h"
#include "support/analysis_helpers.h"

using namespace rung;
using test::batches;

namespace {

/// Analyzes the sim, and compares the error of each weight with what its quantizer makes of it.
analysis::Analysis check_weights(QuantizationSimModel& sim) {
  const analysis::Analysis got = analysis::analyze(sim, batches());
  CHECK(!got.quantizers.empty());
  CHECK(got.outputs.sqnr_db > 0);
  for (const analysis::Quantizer& each : got.quantizers) {
    CAPTURE(each.name);
    CHECK(each.kind == sim.quantizer(each.name).op().quantizer().kind());
    if (each.codes)
      CHECK(each.codes->clipping_mse + each.codes->rounding_mse ==
            doctest::Approx(each.error.mse).epsilon(1e-9));
    if (each.place != "parameter") continue;
    const QuantizerHandle quantizer = sim.quantizer(each.name);
    const ConstTensor& w = quantizer.source().parameter()->value();
    test::check_close(each.error.sqnr_db,
                      test::sqnr_db(values(w), values(quantizer.quantize_dequantize(w))));
  }
  CHECK(analysis::from_json(analysis::to_json(got)) == got);
  return got;
}

}  // namespace

TEST_SUITE("analysis: kinds of quantizers") {
  TEST_CASE("that a scheme can choose") {
    for (const std::string& kind : scheme_quantizers()) {
      CAPTURE(kind);
      QuantizationSimModel sim =
          calibrated({.quant_scheme = {.estimator = "min_max", .quantizer = kind, .learn = true},
                      .default_output_bw = 6,
                      .default_param_bw = 5});
      for (const analysis::Layer& layer : check_weights(sim).layers)
        CHECK(layer.at_bitwidths.size() == (layer.quantizers.empty() ? 0 : 3));
    }
  }

  TEST_CASE("with scales per block") {
    for (const bool grouped : {false, true}) {
      CAPTURE(grouped);
      QuantizationSimModel sim = calibrated({.default_output_bw = 6, .default_param_bw = 4});
      const NodePredicate fits = [](const Node& node) { return node.name() == "fc"; };
      if (grouped)
        set_grouped_blockwise_quantization_for_weights(sim, fits, {.block_size = 6});
      else
        set_blockwise_quantization_for_weights(sim, fits, {.block_size = 6});
      calibrate_small_net(sim);
      const analysis::Analysis got = check_weights(sim);
      CHECK(got.quantizer("fc.weight").min.size() == 4 * 8);
      CHECK(!got.layer("fc").accumulator);  // its sums have several scales
      CHECK(got.layer("conv2").accumulator);
    }
  }

  TEST_CASE("of floating point, which have no codes") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 16,
                                           .default_param_bw = 16,
                                           .default_data_type = QuantizationDataType::floating});
    for (const analysis::Quantizer& each : check_weights(sim).quantizers) {
      CHECK(!each.codes);
      CHECK(each.min.empty());
      CHECK(each.error.sqnr_db > 60);
    }
  }

  TEST_CASE("that let everything pass") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 32, .default_param_bw = 8});
    for (const analysis::Quantizer& each : check_weights(sim).quantizers)
      CHECK(each.place == "parameter");
  }
}
