#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/exec/executor.h"
#include "rung/ops/layers.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"
#include "support/codes_of_weights.h"
#include "support/ptq_helpers.h"
#include "support/temporary_folder.h"

using namespace rung;
using namespace rung::test;

namespace {

/// One convolution with a batch norm, with a factor of every sign: gamma is 2, -3, 0, 0.5.
struct Small {
  Graph graph;
  Tensor x = random_input({2, 3, 6, 6}, Rng(2));
  Small() {
    Var y = graph.input("x", {2, 3, 6, 6});
    y = nn::conv2d(y, {.out_channels = 4, .kernel = 3, .bias = false}, "conv");
    graph.set_outputs({nn::batch_norm2d(y, {}, "bn")});
    randomize(graph, Rng(1));
    const std::vector<float> gamma = {2, -3, 0, 0.5};
    std::ranges::copy(gamma, graph.parameter("bn.weight").edit().data().begin());
  }
  QuantizationSimModel sim(Symmetry symmetry = Symmetry::symmetric,
                           const std::string& config = "per_channel") {
    QuantizationSimModel made(graph, {.quant_scheme = QuantScheme::post_training_tf,
                                      .default_output_bw = 8,
                                      .default_param_bw = 4,
                                      .config_file = config});
    made.quantizer("conv.weight").set_symmetry(symmetry);
    made.compute_encodings([&](Executor& executor) { executor.forward(x); });
    return made;
  }
};

std::string reason(const ptq::FoldResult& result, const std::string& norm) {
  for (const ptq::SkippedBatchNorm& skipped : result.skipped)
    if (skipped.batch_norm == norm) return skipped.reason;
  return "not skipped";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_SUITE("ptq: folding batch norms to scale") {
  TEST_CASE("where the factor is negative codes change sign, and 0 leaves a legal range") {
    struct Case {
      Symmetry symmetry;
      std::int32_t low, high;
    };
    for (const Case& c : {Case{Symmetry::symmetric, -8, 7}, Case{Symmetry::strict_symmetric, -7, 7},
                          Case{Symmetry::asymmetric, 0, 15}}) {
      CAPTURE(to_string(c.symmetry));
      Small small;
      QuantizationSimModel sim = small.sim(c.symmetry);
      // The lowest code of the channel that is going to be turned around.
      const std::vector<Range> ranges = sim.quantizer("conv.weight").ranges();
      sim.graph().parameter("conv.weight").edit().data()[27] = ranges[1].min;
      const Codes before = codes_of(sim, "conv.weight");
      const Encoding encoding = sim.quantizer("conv.weight").encoding();
      CHECK(before[27] == c.low);
      const Tensor y = without_activation_quantizers(sim, small.x);
      CHECK(ptq::fold_all_batch_norms_to_scale(sim).folded.size() == 1);
      const Codes after = codes_of(sim, "conv.weight");
      const Encoding folded = sim.quantizer("conv.weight").encoding();
      std::size_t lost = 0;
      for (std::size_t i = 0; i < 4 * 27; ++i) {
        const std::size_t channel = i / 27;
        if (channel == 1) {
          const std::int32_t mirror = c.low == 0 ? 15 - before[i] : -before[i];
          lost += mirror > c.high;
          CHECK(after[i] == std::min(mirror, c.high));
        } else if (channel == 2) {
          CHECK(sim.graph().parameter("conv.weight").value().data()[i] == 0);
        } else {
          CHECK(after[i] == before[i]);
        }
      }
      CHECK(lost == (c.symmetry == Symmetry::symmetric ? 1 : 0));
      CHECK(folded.offset[0] == encoding.offset[0]);
      CHECK(folded.offset[3] == encoding.offset[3]);
      const float sigma =
          std::sqrt(small.graph.parameter("bn.running_var").value().data()[1] + 1e-5f);
      CHECK(folded.scale[1] == doctest::Approx(encoding.scale[1] * 3 / sigma).epsilon(1e-6));
      if (lost == 0) check_equal(y, without_activation_quantizers(sim, small.x), 1e-5);
    }
  }

  TEST_CASE("the batch norm's output quantizer moves to the layer, and files can be written") {
    Small small;
    QuantizationSimModel sim = small.sim();
    const Range range = sim.quantizer("bn").ranges().at(0);
    sim.quantizer("bn").freeze();
    sim.quantizer("conv.weight").freeze();
    ptq::fold_all_batch_norms_to_scale(sim);
    CHECK(sim.quantizer("conv").ranges().at(0) == range);
    CHECK(aimet_name(sim.quantizer("conv")) == "conv.output_quantizers.0");
    CHECK(sim.quantizer("conv").frozen());
    CHECK(sim.quantizer("conv.weight").frozen());
    CHECK(sim.graph().outputs()[0]->name() == "conv.qdq");
    CHECK_THROWS_AS(sim.quantizer("bn"), Error);
    const TemporaryFolder folder;
    CHECK(sim.export_to(folder.path(), "net").size() == 4);
  }

  TEST_CASE("a quantizer per tensor, or none, or one without an encoding") {
    Small small;
    QuantizationSimModel tensor = small.sim(Symmetry::symmetric, "per_tensor");
    const std::string before = fingerprint(tensor.graph());
    const ptq::FoldResult result = ptq::fold_all_batch_norms_to_scale(tensor);
    CHECK(result.folded.empty());
    REQUIRE(result.skipped.size() == 1);
    CHECK(result.skipped[0].layer == "conv");
    CHECK(contains(result.skipped[0].reason, "per tensor"));
    CHECK(fingerprint(tensor.graph()) == before);

    QuantizationSimModel fresh(small.graph, {.config_file = "per_channel"});
    CHECK(contains(reason(ptq::fold_all_batch_norms_to_scale(fresh), "bn"), "compute_encodings"));

    QuantizationSimModel excluded = small.sim();
    excluded.graph().bypass_node(excluded.graph().node("conv.weight.qdq"));
    const Tensor y = without_activation_quantizers(excluded, small.x);
    CHECK(ptq::fold_all_batch_norms_to_scale(excluded).folded.size() == 1);
    check_equal(y, without_activation_quantizers(excluded, small.x), 1e-5);
  }

  TEST_CASE("weights on ties keep their codes, though every product is rounded") {
    for (const Symmetry symmetry : {Symmetry::strict_symmetric, Symmetry::asymmetric}) {
      CAPTURE(to_string(symmetry));
      Graph graph;
      Var y = graph.input("x", {1, 64, 3, 3});
      y = nn::conv2d(y, {.out_channels = 32, .kernel = 3, .bias = false}, "conv");
      graph.set_outputs({nn::batch_norm2d(y, {}, "bn")});
      randomize(graph, Rng(11));
      QuantizationSimModel sim(
          graph, {.quant_scheme = QuantScheme::post_training_tf, .config_file = "per_channel"});
      QuantizerHandle weight = sim.quantizer("conv.weight");
      weight.set_symmetry(symmetry);
      sim.compute_encodings([](Executor& executor) {
        executor.forward(random_input({1, 64, 3, 3}, Rng(2)));
      });
      const Encoding encoding = weight.encoding();
      const std::span<float> w = sim.graph().parameter("conv.weight").edit().data();
      Rng rng(12);
      for (std::size_t i = 0; i < w.size(); ++i)
        w[i] = (std::floor(static_cast<float>(rng.uniform(-100, 100))) + 0.5f) *
               encoding.scale[i / 576];
      const Codes before = codes_of(sim, "conv.weight");
      const std::vector<float> gamma = values(sim.graph().parameter("bn.weight").value());
      ptq::fold_all_batch_norms_to_scale(sim);
      const Codes after = codes_of(sim, "conv.weight");
      const std::int32_t ends = symmetry == Symmetry::asymmetric ? 255 : 0;
      std::size_t different = 0, negative = 0;
      for (std::size_t i = 0; i < after.size(); ++i) {
        negative += gamma[i / 576] < 0;
        different += after[i] != (gamma[i / 576] < 0 ? ends - before[i] : before[i]);
      }
      CHECK(different == 0);
      CHECK(negative > 5000);
      CHECK(after.size() - negative > 5000);
    }
  }

  TEST_CASE("every block of a channel gets the channel's factor, ranges that are found anew none") {
    Small small;
    QuantizationSimModel sim = small.sim();
    QuantizeDequantize& op = sim.quantizer("conv.weight").op();
    op.set_recomputed(true);
    CHECK(contains(reason(ptq::fold_all_batch_norms_to_scale(sim), "bn"), "freeze it first"));
    op.set_recomputed(false);
    // One scale for each of the 3 input channels of each of the 4 output channels.
    Graph& graph = sim.graph();
    graph.bypass_node(graph.node("conv.weight.qdq"));
    auto made = std::make_unique<QuantizeDequantize>(
        std::make_unique<AffineQuantizer>(QuantizerOptions{.bitwidth = 4,
                                                           .symmetry = Symmetry::strict_symmetric,
                                                           .axis = 0,
                                                           .channels = 4,
                                                           .blocks = Blocks{1, 1, 3}}),
        make_min_max());
    const auto parameters = add_quantizer_parameters(graph, made->quantizer(), "conv.weight.qdq");
    graph.insert_after(graph.value("conv.weight"), std::move(made), parameters, "conv.weight.qdq");
    sim.compute_encodings([&](Executor& executor) { executor.forward(small.x); });
    const Tensor y = without_activation_quantizers(sim, small.x);
    const std::vector<float> scale = sim.quantizer("conv.weight").encoding().scale;
    REQUIRE(scale.size() == 12);
    CHECK(ptq::fold_all_batch_norms_to_scale(sim).folded.size() == 1);
    const std::vector<float> folded = sim.quantizer("conv.weight").encoding().scale;
    for (std::size_t block = 0; block < 3; ++block) {
      CHECK(folded[block] / scale[block] == doctest::Approx(folded[0] / scale[0]).epsilon(1e-6));
      CHECK(folded[3 + block] / scale[3 + block] ==
            doctest::Approx(folded[3] / scale[3]).epsilon(1e-6));
    }
    CHECK(folded[3] / scale[3] != doctest::Approx(folded[0] / scale[0]).epsilon(1e-3));
    check_equal(y, without_activation_quantizers(sim, small.x), 1e-5);
  }

  TEST_CASE("nothing may be quantized between layer and batch norm, unless it is disabled") {
    Small small;
    QuantizationSimModel sim = small.sim();
    Graph& graph = sim.graph();
    auto op = std::make_unique<QuantizeDequantize>();
    const auto parameters = add_quantizer_parameters(graph, op->quantizer(), "conv.qdq");
    Node& between = graph.insert_after(graph.value("conv"), std::move(op), parameters, "conv.qdq");
    sim.quantizer("conv").set_range({-20, 20});
    CHECK(contains(reason(ptq::fold_all_batch_norms_to_scale(sim), "bn"),
                   "the output of conv is quantized"));
    QuantizerHandle(between).disable();
    const Range range = sim.quantizer("bn").ranges().at(0);
    const ptq::FoldResult result = ptq::fold_all_batch_norms_to_scale(sim);
    CHECK(reason(result, "bn") == "not skipped");
    graph.check();
    CHECK(sim.quantizer("conv").enabled());
    CHECK(sim.quantizer("conv").ranges().at(0) == range);
  }

  TEST_CASE("other batch norms are skipped with the reason") {
    Graph graph;
    Var x = graph.input("x", {2, 3, 6, 6});
    x = nn::relu(nn::batch_norm2d(x, {}, "bn0"), "relu0");
    x = nn::batch_norm2d(x, {}, "bn1");
    x = nn::conv2d(x, {.out_channels = 4, .kernel = 3}, "conv");
    Var y = nn::batch_norm2d(x, {}, "bn2");
    graph.set_outputs({nn::add(x, y, "add")});
    randomize(graph, Rng(1));
    QuantizationSimModel sim(graph, {.config_file = "per_channel"});
    sim.compute_encodings([&](Executor& executor) {
      executor.forward(random_input({2, 3, 6, 6}, Rng(2)));
    });
    const ptq::FoldResult result = ptq::fold_all_batch_norms_to_scale(sim);
    CHECK(result.folded.empty());
    REQUIRE(result.skipped.size() == 3);
    CHECK(contains(reason(result, "bn0"), "no layer computes"));
    CHECK(contains(reason(result, "bn1"), "it follows [Relu relu0]"));
    CHECK(contains(reason(result, "bn1"), "into conv, there is no fold to scale"));
    CHECK(contains(reason(result, "bn2"), "conv.qdq is read by several nodes"));
  }

  TEST_CASE("a grid without negative codes cannot take a negative factor") {
    Small small;
    for (float& w : small.graph.parameter("conv.weight").edit().data()) w = std::abs(w);
    QuantizationSimModel sim = small.sim(Symmetry::unsigned_symmetric);
    CHECK(contains(reason(ptq::fold_all_batch_norms_to_scale(sim), "bn"), "no negative codes"));
    for (float& g : sim.graph().parameter("bn.weight").edit().data()) g = std::abs(g);
    const Codes before = codes_of(sim, "conv.weight");
    CHECK(ptq::fold_all_batch_norms_to_scale(sim).folded.size() == 1);
    const Codes after = codes_of(sim, "conv.weight");
    for (std::size_t i = 0; i < 27; ++i) CHECK(after[i] == before[i]);
  }

  TEST_CASE("a statistic that is not finite is an error, and nothing has changed") {
    Small small;
    QuantizationSimModel sim = small.sim();
    sim.graph().parameter("bn.running_mean").edit().data()[2] = INFINITY;
    check_refused(sim.graph(), "channel 2", [&] { ptq::fold_all_batch_norms_to_scale(sim); });
  }
}
