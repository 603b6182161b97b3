// Small networks of single operators; the answers are ONNX Runtime's. Every file in
// tests/golden/cases/operators is run, written and read again, quantized and trained.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/io/onnx_export.h"
#include "rung/io/onnx_import.h"
#include "rung/io/safetensors.h"
#include "rung/quantsim/quantsim.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

using namespace rung;
namespace fs = std::filesystem;

namespace {

struct OperatorCase {
  fs::path model;
  std::vector<Tensor> inputs, outputs;
};

std::vector<fs::path> models() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(paths::golden_dir() + "/cases/operators"))
    if (entry.path().extension() == ".onnx") found.push_back(entry.path());
  std::ranges::sort(found);
  return found;
}

OperatorCase case_of(const fs::path& model, const Graph& graph) {
  OperatorCase made{model, {}, {}};
  const io::SafetensorsFile file(fs::path(model).replace_extension(".safetensors"));
  for (const Value* input : graph.inputs())
    made.inputs.push_back(file.tensor("in." + input->name()));
  for (const Value* output : graph.outputs())
    made.outputs.push_back(file.tensor("out." + output->name()));
  return made;
}

/// The largest difference, relative to the largest element (at least 1).
double distance(const std::vector<Tensor>& got, const std::vector<Tensor>& expected) {
  REQUIRE(got.size() == expected.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    REQUIRE(got[i].shape() == expected[i].shape());
    double scale = 1.0;
    for (const float v : expected[i].data())
      if (std::isfinite(v)) scale = std::max(scale, std::abs(double{v}));
    for (std::int64_t k = 0; k < got[i].numel(); ++k) {
      const float a = got[i].data()[k], b = expected[i].data()[k];
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      const double difference = std::abs(double{a} - b) / scale;
      largest = std::max(largest, std::isfinite(difference) ? difference : INFINITY);
    }
  }
  return largest;
}

bool all_finite(const std::vector<Tensor>& tensors) {
  return std::ranges::all_of(tensors, [](const Tensor& tensor) {
    return std::ranges::all_of(tensor.data(), [](float v) { return std::isfinite(v); });
  });
}

}  // namespace

TEST_SUITE("io onnx operators") {
  TEST_CASE("networks of single operators answer as in ONNX Runtime, and so do their exports") {
    const TemporaryFolder folder;
    std::size_t count = 0;
    for (const fs::path& path : models()) {
      CAPTURE(path.filename().string());
      Graph graph = io::load_onnx(path);
      const OperatorCase each = case_of(path, graph);
      Executor executor(graph);
      CHECK(distance(executor.forward(each.inputs, Mode::eval), each.outputs) < 2e-5);
      CHECK(distance(executor.forward(each.inputs, Mode::train), each.outputs) < 2e-5);

      const std::string again = folder.path("again.onnx");
      io::save_onnx(graph, again);
      Graph copy = io::load_onnx(again);
      Executor other(copy);
      CHECK(distance(other.forward(each.inputs, Mode::eval), each.outputs) < 2e-5);
      ++count;
    }
    CHECK(count >= 37);
  }

  TEST_CASE("networks of single operators are quantized, trained and written") {
    const TemporaryFolder folder;
    for (const fs::path& path : models()) {
      CAPTURE(path.filename().string());
      const Graph graph = io::load_onnx(path);
      const OperatorCase each = case_of(path, graph);
      QuantizationSimModel sim(graph,
                               {.quant_scheme = QuantScheme::training_range_learning_with_tf_init,
                                .config_file = "per_channel"});
      sim.compute_encodings([&](Executor& executor) { executor.forward(each.inputs, Mode::eval); });
      // Rounding moves a sum by little, but makes numbers equal that were not; and a mask of -1e9
      // takes the whole grid.
      const bool is_smooth = path.stem() != "equal_mask" && path.stem() != "attention_mask";
      const double moved = distance(sim.executor().forward(each.inputs, Mode::eval), each.outputs);
      CHECK(moved < (is_smooth ? 0.1 : 2.0));

      const std::vector<Tensor> outputs = sim.executor().forward(each.inputs, Mode::train);
      std::vector<Tensor> gradients;
      for (const Tensor& output : outputs) gradients.push_back(Tensor::full(output.shape(), 1.0f));
      sim.executor().backward(gradients);
      for (Parameter* parameter : sim.graph().parameters())
        if (parameter->has_grad()) CHECK(all_finite({parameter->grad()}));

      io::save_onnx(sim.graph(), folder.path("qdq.onnx"), {.quantizers = io::OnnxQuantizers::qdq});
      Graph read = io::load_onnx(folder.path("qdq.onnx"));
      Executor other(read);
      CHECK(distance(other.forward(each.inputs, Mode::eval),
                     sim.executor().forward(each.inputs, Mode::eval)) < 0.05);
    }
  }
}
