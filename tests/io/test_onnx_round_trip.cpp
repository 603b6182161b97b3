// What save_onnx writes, load_onnx reads as the same network.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "golden/golden_model.h"
#include "rung/core/rng.h"
#include "rung/exec/executor.h"
#include "rung/io/onnx_export.h"
#include "rung/io/onnx_import.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

Tensor images(std::int64_t count) {
  Tensor x(Shape{count, 3, 20, 20});
  Rng rng(7);
  for (float& each : x.data()) each = rng.normal();
  return x;
}

/// Returns what is there after writing and reading.
Graph through_file(const Graph& graph, const io::OnnxExportOptions& options) {
  const TemporaryFolder folder;
  io::save_onnx(graph, folder.path("m.onnx"), options);
  return io::load_onnx(folder.path("m.onnx"));
}

bool same(const ConstTensor& a, const ConstTensor& b) {
  return a.shape() == b.shape() && std::ranges::equal(a.data(), b.data());
}

QuantizationSimModel calibrated(int param_bw, int output_bw, const std::string& config) {
  Graph graph = golden::network("network/trained.safetensors");
  ptq::fold_all_batch_norms(graph);
  QuantizationSimModel sim(graph, {.quant_scheme = QuantScheme::post_training_tf,
                                   .default_output_bw = output_bw,
                                   .default_param_bw = param_bw,
                                   .config_file = config});
  sim.compute_encodings([](Executor& executor) { executor.forward(images(4)); });
  return sim;
}

}  // namespace

TEST_SUITE("io onnx import") {
  TEST_CASE("a float network comes back with its names, roles and numbers") {
    Graph graph = golden::network("network/trained.safetensors");
    Graph again = through_file(graph, {});
    CHECK(again.to_string() == graph.to_string());
    for (const Parameter* parameter : graph.parameters()) {
      CAPTURE(parameter->name());
      CHECK(again.parameter(parameter->name()).role() == parameter->role());
      CHECK(same(again.parameter(parameter->name()).value(), parameter->value()));
    }
    CHECK(same(Executor(again).forward(images(3)), Executor(graph).forward(images(3))));
  }

  TEST_CASE("a quantized network comes back with its quantizers, codes and outputs") {
    struct Setting {
      int param_bw, output_bw;
      const char* config;
    };
    for (const auto& [param_bw, output_bw, config] : std::vector<Setting>{{8, 8, "default"},
                                                                          {8, 8, "per_channel"},
                                                                          {4, 8, "per_channel"},
                                                                          {8, 16, "default"},
                                                                          {8, 6, "per_channel"}}) {
      CAPTURE(param_bw);
      CAPTURE(output_bw);
      CAPTURE(config);
      QuantizationSimModel sim = calibrated(param_bw, output_bw, config);
      // Bytes do not tell how few bits a weight has.
      const io::OnnxExportOptions options{.codes = io::OnnxCodes::packed, .int32_bias = false};
      Graph again = through_file(sim.graph(), options);
      std::size_t quantizers = 0;
      for (Node* node : sim.graph().nodes()) {
        auto* op = node->as<QuantizeDequantize>();
        if (op == nullptr || !op->enabled()) continue;
        CAPTURE(node->name());
        const Node& twin = again.node(node->name());
        const Encoding a = op->encoding(quantizer_parameters(*node));
        const Encoding b = twin.as<QuantizeDequantize>()->encoding(quantizer_parameters(twin));
        CHECK(a.bitwidth == b.bitwidth);
        CHECK(a.scale == b.scale);
        CHECK(a.axis == b.axis);
        ++quantizers;
      }
      CHECK(quantizers == 25);
      CHECK(same(Executor(again).forward(images(3)), sim.executor().forward(images(3))));
      // And once more: nothing is lost on the way.
      Graph third = through_file(again, options);
      CHECK(third.to_string() == again.to_string());
      CHECK(same(Executor(third).forward(images(2)), Executor(again).forward(images(2))));
    }
  }
}
