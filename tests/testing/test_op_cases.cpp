// Every op of the library goes through the same seven tests: its row in rung/testing/op_cases.h is
// all that a new op adds. The eighth, speed, is `rung bench ops`.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_export.h"
#include "rung/io/onnx_import.h"
#include "rung/ops/ops.h"
#include "rung/quantsim/quantsim.h"
#include "rung/testing/gradcheck.h"
#include "rung/testing/op_cases.h"
#include "support/quantsim_configs.h"
#include "support/quantsim_files.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using testing::op_cases;
using testing::OpCase;

namespace {

Graph graph_of(const OpCase& op) { return testing::graph_of(op, op.inputs); }

std::vector<Tensor> numbers_of(const OpCase& op, std::uint64_t seed = 1) {
  return testing::numbers_of(op, op.inputs, Rng(seed));
}

Tensor run(Graph& graph, const OpCase& op, Mode mode = Mode::eval,
           const ExecutorOptions& options = {}) {
  return Executor(graph, options).forward(numbers_of(op), mode).at(0);
}

/// The largest difference relative to the largest number.
double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0.0, scale = 1e-30;
  for (std::size_t i = 0; i < a.data().size(); ++i) {
    largest = std::max(largest, std::abs(double{a.data()[i]} - b.data()[i]));
    scale = std::max(scale, std::abs(double{b.data()[i]}));
  }
  return largest / scale;
}

Traits traits_of(const Graph& graph) { return graph.node("op").op().traits(); }

/// Everything is quantized, parameters per channel.
const std::string kAllQuantized = R"({
  "defaults": {"ops": {"is_output_quantized": "True"},
               "params": {"is_quantized": "True", "is_symmetric": "True"},
               "per_channel_quantization": "True"},
  "params": {}, "op_type": {}, "supergroups": [],
  "model_input": {"is_input_quantized": "True"}, "model_output": {}})";

QuantizationSimModel calibrated(const OpCase& op) {
  QuantizationSimModel sim = make_sim(graph_of(op), kAllQuantized);
  sim.compute_encodings([&](Executor& executor) {
    for (const std::uint64_t seed : {1, 2}) executor.forward(numbers_of(op, seed), Mode::eval);
  });
  return sim;
}

bool has_quantizer(QuantizationSimModel& sim, const std::string& name) {
  return std::ranges::any_of(sim.quantizers(), [&](const QuantizerHandle& each) {
    return each.name() == name && each.enabled();
  });
}

}  // namespace

TEST_SUITE("ops: every case") {
  TEST_CASE("every op has a case, whose graphs can be built in both sizes") {
    std::set<std::string_view> types;
    for (const OpCase& op : op_cases()) {
      CAPTURE(op.name);
      types.insert(op.type());
      CHECK(graph_of(op).node("op").type() == op.type());
      CHECK(op.large.size() == op.inputs.size());
      CHECK(testing::graph_of(op, op.large).inputs()[0]->shape().numel() > 10000);
    }
    for (const char* other :
         {"FoldedBatchNormalization", "FoldedBias", "FoldedWeight", "QuantizeDequantize"})
      types.insert(other);
    const std::vector<std::string_view> all = op_types();
    CHECK(std::vector(types.begin(), types.end()) == all);
  }

  TEST_CASE("layouts, fusion and memory change nothing") {
    for (const OpCase& op : op_cases()) {
      CAPTURE(op.name);
      Graph graph = graph_of(op);
      for (const Mode mode : {Mode::eval, Mode::train}) {
        const Tensor expected =
            run(graph, op, mode,
                {.layout = LayoutPolicy::plain, .memory = MemoryPolicy::keep_all, .fuse = false});
        CHECK(difference(run(graph, op, mode), expected) < 1e-5);
        CHECK(difference(run(graph, op, mode, {.layout = LayoutPolicy::plain}), expected) < 1e-5);
      }
    }
  }

  TEST_CASE("gradients are the differences") {
    for (const OpCase& op : op_cases()) {
      if (!op.smooth) continue;
      CAPTURE(op.name);
      for (const LayoutPolicy layout : {LayoutPolicy::plain, LayoutPolicy::blocked}) {
        Graph graph = graph_of(op);
        const auto result = testing::gradcheck(
            graph, numbers_of(op), {.tolerance = op.tolerance, .executor = {.layout = layout}});
        CHECK_MESSAGE(result.ok(), result.to_string());
      }
    }
  }

  TEST_CASE("what an op says of its numbers is so") {
    for (const OpCase& op : op_cases()) {
      CAPTURE(op.name);
      Graph graph = graph_of(op);
      const Result result = traits_of(graph).result;
      const std::vector<float> x = values(numbers_of(op)[0]), y = values(run(graph, op));
      std::vector<float> allowed = x;
      allowed.push_back(0.0f);
      if (result == Result::truth) allowed = {0.0f, 1.0f};
      std::ranges::sort(allowed);
      if (result != Result::computed)
        CHECK(std::ranges::all_of(
            y, [&](float each) { return std::ranges::binary_search(allowed, each); }));
      if (result >= Result::all_of_input) {
        std::vector<float> in = x, out = y;
        std::ranges::sort(in);
        std::ranges::sort(out);
        CHECK(in == out);
      }
      if (result == Result::input_in_order) CHECK(x == y);
    }
  }

  TEST_CASE("a model file gives the same op back") {
    for (const OpCase& op : op_cases()) {
      CAPTURE(op.name);
      const TemporaryFolder folder;
      Graph graph = graph_of(op);
      io::save_model(folder / "op.rung", graph);
      Graph again = io::load_model(folder / "op.rung").graph;
      CHECK(again.to_string() == graph.to_string());
      CHECK(values(run(again, op)) == values(run(graph, op)));
    }
  }

  TEST_CASE("an ONNX file gives the same function back") {
    for (const OpCase& op : op_cases()) {
      CAPTURE(op.name);
      const TemporaryFolder folder;
      Graph graph = graph_of(op);
      io::save_onnx(graph, folder / "op.onnx", {.opset = 21});  // the first that has all of them
      Graph again = io::load_onnx(folder / "op.onnx");
      CHECK(difference(run(again, op), run(graph, op)) < 1e-6);
      const bool is_there = std::ranges::any_of(
          again.nodes(), [&](const Node* node) { return node->type() == op.type(); });
      // What does nothing in evaluation may be left out.
      CHECK((is_there || traits_of(graph).result == Result::input_in_order));
    }
  }

  TEST_CASE("a simulation places quantizers by what the op says of itself") {
    for (const OpCase& op : op_cases()) {
      CAPTURE(op.name);
      QuantizationSimModel sim = calibrated(op);
      const Traits traits = traits_of(sim.graph());
      // Nearest neighbours are numbers of the input, and yet have a quantizer as in AIMET.
      const bool is_new = traits.result == Result::computed || op.type() == "Resize";
      CHECK(has_quantizer(sim, "op") == is_new);
      for (const Parameter* parameter : sim.graph().parameters()) {
        if (parameter->role() == Role::buffer || parameter->role() == Role::encoding) continue;
        CAPTURE(parameter->name());
        REQUIRE(has_quantizer(sim, parameter->name()));
        const QuantizerHandle quantizer = sim.quantizer(parameter->name());
        const bool is_weight = traits.weighted && quantizer.source().uses().size() == 1 &&
                               sim.graph().node("op").inputs()[traits.weighted->weight]->name() ==
                                   parameter->name() + ".qdq";
        std::int64_t axis = is_weight ? traits.weighted->output_axis : 0;
        if (axis < 0) axis += parameter->shape().rank();
        CHECK(quantizer.encoding().axis == axis);
      }
      const Tensor y = run(sim.graph(), op);
      for (const float each : y.data()) CHECK(std::isfinite(each));
    }
  }

  TEST_CASE("encodings that are written are those that are read") {
    for (const OpCase& op : op_cases()) {
      CAPTURE(op.name);
      QuantizationSimModel sim = calibrated(op);
      if (sim.quantizers().empty()) continue;
      for (const char* version : {"0.6.1", "1.0.0", "2.0.0"}) {
        CAPTURE(version);
        QuantizationSimModel other = make_sim(graph_of(op), kAllQuantized);
        other.load_encodings(exported(sim, version, false), {.require_all = true});
        CHECK(fingerprint_encodings(other) == fingerprint_encodings(sim));
      }
    }
  }

  TEST_CASE("evaluation with codes is evaluation with numbers, up to a code") {
    for (const OpCase& op : op_cases()) {
      CAPTURE(op.name);
      QuantizationSimModel sim = calibrated(op);
      const Tensor exact = run(sim.graph(), op);
      const Tensor real = run(sim.graph(), op, Mode::eval, {.exact = false});
      const double step =
          has_quantizer(sim, "op") ? double{sim.quantizer("op").encoding().scale[0]} : 0.0;
      for (std::size_t i = 0; i < real.data().size(); ++i)
        REQUIRE(std::abs(double{exact.data()[i]} - real.data()[i]) <= 1.001 * step);
      Executor executor(sim.graph());
      executor.forward(numbers_of(op), Mode::eval);
      std::ostringstream plan;
      plan << executor.plan();
      const bool takes_codes = sim.graph().node("op").op().can_take_codes();
      CHECK((plan.str().find(" exact") != std::string::npos) == takes_codes);
    }
  }
}
