// load_encodings of files of every version: what it takes from them, and that it is exact.

#include <cmath>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "quant/stored_range.h"
#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/ops/arithmetic.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_files.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

const QuantSimOptions kW4A8{.default_param_bw = 4, .config_file = "per_channel"};

}  // namespace

TEST_SUITE("quantsim: versions of encodings files") {
  TEST_CASE("files of every version and keying give another sim the same encodings") {
    QuantizationSimModel sim = calibrated(kW4A8);
    const std::string expected = fingerprint_encodings(sim);
    for (const char* version : {"0.6.1", "1.0.0", "2.0.0", "2.1.0"})
      for (const bool by_module : {false, true}) {
        CAPTURE(version);
        CAPTURE(by_module);
        QuantizationSimModel other(small_net(), {.config_file = "per_channel"});  // 8 bits
        const LoadedEncodings loaded =
            other.load_encodings(exported(sim, version, by_module), {.require_all = true});
        CHECK(loaded.loaded == names_of(other));
        CHECK(fingerprint_encodings(other) == expected);
        CHECK(run_small_net(other) == run_small_net(sim));
      }
  }

  TEST_CASE("scale and offset come back bit for bit from stored ranges") {
    Rng rng(11);
    int exact = 0, all = 0;
    for (const int bitwidth : {2, 4, 8, 16})
      for (const Symmetry symmetry : {Symmetry::asymmetric, Symmetry::symmetric,
                                      Symmetry::strict_symmetric, Symmetry::unsigned_symmetric})
        for (int i = 0; i < 2000; ++i) {
          const double width = std::pow(10.0, rng.uniform(-3.0, 3.0));
          Range seen{static_cast<float>(-width * rng.uniform(0.0, 1.0)),
                     static_cast<float>(width * rng.uniform(0.0, 1.0))};
          if (symmetry == Symmetry::unsigned_symmetric || i % 5 == 0) seen.min = 0.0f;
          const Grid grid = make_grid(bitwidth, symmetry);
          const Encoding encoding =
              encoding_from_range(legal_range(seen, grid, symmetry), bitwidth, symmetry);
          const Encoding back = encoding_from_range(
              stored_range(encoding.scale[0], encoding.offset[0], bitwidth, symmetry), bitwidth,
              symmetry);
          ++all;
          exact += back.scale == encoding.scale && back.offset == encoding.offset;
        }
    CHECK(exact == all);
  }

  TEST_CASE("a path is read, a missing file is named") {
    QuantizationSimModel sim = calibrated(kW4A8);
    const TemporaryFolder folder;
    const std::string path = sim.save_encodings_to_json(folder.path(), "net");
    QuantizationSimModel other(small_net(), kW4A8);
    other.load_encodings(path);
    CHECK(fingerprint_encodings(other) == fingerprint_encodings(sim));
    CHECK_THROWS_WITH_AS(other.load_encodings(folder.path("no.json")),
                         doctest::Contains("no.json: cannot open"), Error);
    const std::string damaged = folder.write("damaged.json", "{\"activation_encodings\": ");
    CHECK_THROWS_WITH_AS(other.load_encodings(damaged), doctest::Contains("damaged.json"), Error);
    CHECK_THROWS_WITH_AS(other.load_encodings("{}"), doctest::Contains("has no encodings"), Error);
  }

  TEST_CASE("version 2.0.0 does not state the symmetry: the quantizer's own is kept if it can be") {
    QuantizationSimModel sim(small_net(), {.config_file = "per_tensor"});
    const auto load = [&](const std::string& name, const std::string& entry) {
      sim.load_encodings(R"({"version": "2.0.0", "encodings": [{"name": ")" + name + R"(", )" +
                         entry + "}]}");
      return sim.quantizer(name).symmetry();
    };
    const std::string centred = R"("output_dtype": "uint8", "y_scale": 0.1, "y_zero_point": 128)";
    CHECK(load("add", centred) == Symmetry::asymmetric);
    CHECK(sim.quantizer("add").encoding().effective_range().max == doctest::Approx(12.7));
    sim.quantizer("add").set_symmetry(Symmetry::strict_symmetric);
    CHECK(load("add", centred) == Symmetry::strict_symmetric);
    CHECK(sim.quantizer("add").encoding().scale[0] == 0.1f);
    CHECK(load("add", R"("output_dtype": "uint8", "y_scale": 0.1, "y_zero_point": 3)") ==
          Symmetry::asymmetric);
    CHECK(load("fc.weight", R"("output_dtype": "int4", "y_scale": 0.1)") == Symmetry::symmetric);
    sim.quantizer("fc.weight").set_symmetric(false);
    CHECK(load("fc.weight", R"("output_dtype": "int4", "y_scale": 0.1)") == Symmetry::symmetric);
  }

  TEST_CASE("scales of outputs lie where the file has them: a Gemm's weight may be transposed") {
    Graph graph;
    const Var x = nn::linear(graph.input("x", {1, 4}), {.out_features = 3}, "fc");
    const Var matrix = graph.parameter("matrix", Tensor::full({3, 2}, 0.5f), Role::weight);
    graph.set_outputs({nn::matmul(x, matrix, "product")});
    const TemporaryFolder folder;
    QuantizationSimModel sim(graph, {.config_file = folder.write("config.json", R"({
      "defaults": {"ops": {"is_output_quantized": "True"},
                   "params": {"is_quantized": "True", "is_symmetric": "True"},
                   "per_channel_quantization": "True"},
      "params": {}, "op_type": {}, "supergroups": [], "model_input": {}, "model_output": {}})")});
    CHECK(sim.quantizer("matrix").op().quantizer().axis() == 1);
    CHECK(sim.quantizer("fc.weight").op().quantizer().axis() == 0);
    const auto load = [&](int axis, const std::string& scales) {
      sim.load_encodings(R"({"version": "2.0.0", "encodings": [{"name": "fc.weight",
                             "output_dtype": "int8", "axis": )" +
                             std::to_string(axis) + R"(, "y_scale": )" + scales + "}]}",
                         {.partial = true});
    };
    for (const int axis : {0, 1, -1}) {
      load(axis, "[0.5, 0.25, 1]");
      CHECK(sim.quantizer("fc.weight").encoding().scale == std::vector<float>{0.5f, 0.25f, 1.0f});
    }
    CHECK_THROWS_WITH_AS(load(1, "[0.5, 0.25, 1, 1]"), doctest::Contains("has 4 scales"), Error);
  }

  TEST_CASE(
      "entries of tensors without a quantizer that have no numbers, and int32 biases, are "
      "skipped") {
    QuantizationSimModel sim = calibrated(kW4A8);
    const LoadedEncodings loaded = sim.load_encodings(R"({"version": "2.0.0", "encodings": [
        {"name": "conv1", "output_dtype": "uint8"},
        {"name": "fc.bias", "output_dtype": "int32", "y_scale": 0.001},
        {"name": "relu1", "output_dtype": "uint8", "y_scale": 0.1}]})");
    CHECK(loaded.loaded == std::vector<std::string>{"relu1"});
    CHECK(loaded.skipped == std::vector<std::string>{"conv1", "fc.bias"});
  }
}
