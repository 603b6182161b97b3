#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "golden/golden.h"
#include "io/model/attributes.h"
#include "support/gradcheck.h"

// Single ops against PyTorch, values and gradients, and ONNX Runtime, values
// (tests/golden/README.md, ops): attributes that this project read wrongly would agree with its own
// reference loops.

namespace rung::test {
namespace {

Tensor tensor_of(const nlohmann::json& entry) {
  const auto values = entry.at("data").get<std::vector<float>>();
  return {Shape(entry.at("shape").get<std::vector<std::int64_t>>()),
          std::span<const float>(values)};
}

/// Sums of products are added in another order than there.
double tolerance(const std::string& type) {
  return type == "ConvTranspose" || type == "MatMul" ? 5e-6 : 2e-6;
}

Build build_of(const nlohmann::json& each) {
  return [&each](Graph& graph, const Operands& in) {
    auto op = make_op(each.at("type").get<std::string>());
    io::attributes_from_json(*op, io::JsonPlace(each.at("attributes"), "attributes"));
    std::vector<Value*> inputs;
    for (const Var& var : in) inputs.push_back(&var.value());
    return Var(graph, graph.add_node(std::move(op), inputs, "op").output());
  };
}

}  // namespace

TEST_SUITE("golden ops") {
  TEST_CASE("ops compute what PyTorch and ONNX Runtime do") {
    golden::Report report("golden ops");
    for (const nlohmann::json& each : golden::cases("ops/ops.json")) {
      CAPTURE(each.at("name").get<std::string>());
      CAPTURE(each.at("source").get<std::string>());
      const auto type = each.at("type").get<std::string>();
      const Tensor expected = tensor_of(each.at("output"));
      std::vector<Tensor> operands;
      for (const nlohmann::json& input : each.at("inputs")) operands.push_back(tensor_of(input));
      for (const Setup& setup : setups()) {
        CAPTURE(setup.name);
        Graph graph = graph_of(operands, build_of(each), setup.behind_conv);
        Executor executor(graph, setup.options);
        CHECK(difference(run(executor, Mode::eval), expected) <= tolerance(type));
        const Tensor y = run(executor, Mode::train);
        CHECK(difference(y, expected) <= tolerance(type));
        report.add(static_cast<std::size_t>(expected.numel()));
        if (!each.contains("gradients")) continue;
        const auto dy = each.at("dy").get<std::vector<float>>();
        executor.backward(Tensor(y.shape(), std::span<const float>(dy)));
        for (std::size_t i = 0; i < operands.size(); ++i) {
          CAPTURE(i);
          const auto values = each.at("gradients").at(i).get<std::vector<float>>();
          const Tensor gradient(operands[i].shape(), std::span<const float>(values));
          const Tensor& got = graph.parameter("operand" + std::to_string(i)).grad();
          CHECK(difference(got, gradient) <= tolerance(type));
          report.add(values.size());
        }
      }
    }
  }
}

}  // namespace rung::test
