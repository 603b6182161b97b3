#include <algorithm>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_model.h"
#include "rung/exec/executor.h"
#include "rung/graph/kernel.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"
#include "support/ptq_helpers.h"

using namespace rung;
using ptq::Severity;

namespace {

/// y = x^2, an op that the library does not know.
struct Square final : SimpleOp<Square> {
  static constexpr std::string_view kType = "Square";
  std::vector<Shape> infer(std::span<const Shape> inputs) const override { return {inputs[0]}; }
  void forward(const Io& io) const {
    for (std::int64_t i = 0; i < io.input(0).count; ++i)
      io.output(0).data[i] = io.input(0).data[i] * io.input(0).data[i];
  }
  void backward(const GradIo&) const {}
};

/// x -> conv1 -> bn1 -> relu1 -> conv2
struct Small {
  Graph graph;
  Var x, relu;
  Small()
      : x(graph.input("x", {1, 3, 6, 6})),
        relu(nn::relu(
            nn::batch_norm2d(nn::conv2d(x, {.out_channels = 4, .kernel = 1}, "conv1"), {}, "bn1"),
            "relu1")) {
    graph.set_outputs({nn::conv2d(relu, {.out_channels = 4, .kernel = 1}, "conv2")});
    randomize(graph, Rng(1));
  }
};

/// Checks that exactly one finding is about `where`, with this severity and text and a remedy.
void check_finding(const ptq::ValidationReport& report, Severity severity, const std::string& where,
                   const std::string& text) {
  INFO(report.to_string());
  std::size_t matches = 0;
  for (const ptq::Finding& finding : report.findings) {
    CHECK_FALSE(finding.remedy.empty());
    if (finding.where == where && finding.severity == severity &&
        finding.problem.find(text) != std::string::npos)
      ++matches;
  }
  CHECK(matches == 1);
}

std::size_t serious(const ptq::ValidationReport& report) {
  return static_cast<std::size_t>(std::ranges::count_if(
      report.findings, [](const ptq::Finding& f) { return f.severity != Severity::note; }));
}

}  // namespace

TEST_SUITE("ptq: validator") {
  TEST_CASE("a sound network passes: only its foldable batch norms are worth a note") {
    const Graph graph = golden::network("network/trained.safetensors");
    const ptq::ValidationReport report = ptq::validate_model(graph);
    CHECK(report.ok());
    CHECK(serious(report) == 0);
    check_finding(report, Severity::note, "bn1",
                  "9 of 9 batch norms can be folded: bn1, layer1.0.bn1");
    Graph folded = graph.clone();
    ptq::fold_all_batch_norms(folded);
    CHECK(ptq::validate_model(folded).findings.empty());
  }

  TEST_CASE("ops and quantizers that no file can hold are errors") {
    Small small;
    small.graph.insert_after(small.relu.value(), std::make_unique<Square>(), {}, "square");
    const ptq::ValidationReport report = ptq::validate_model(small.graph);
    check_finding(report, Severity::error, "square", "type Square");
    CHECK_FALSE(report.ok());
  }

  TEST_CASE("NaN and infinite elements of any parameter are counted") {
    Small small;
    small.graph.parameter("conv2.weight").edit().data()[3] =
        std::numeric_limits<float>::quiet_NaN();
    small.graph.parameter("conv2.weight").edit().data()[5] = std::numeric_limits<float>::infinity();
    small.graph.parameter("bn1.running_mean").edit().data()[0] =
        -std::numeric_limits<float>::infinity();
    const ptq::ValidationReport report = ptq::validate_model(small.graph);
    check_finding(report, Severity::error, "conv2.weight", "2 of 16 elements");
    check_finding(report, Severity::error, "bn1.running_mean", "1 of 4 elements");
  }

  TEST_CASE("a parameter that several nodes read is named with its readers") {
    Small small;
    Graph& graph = small.graph;
    small.relu = nn::conv2d(small.relu, {.out_channels = 4, .kernel = 1}, "conv3");
    graph.replace_input({&graph.node("conv3"), 1}, graph.value("conv2.weight"));
    graph.set_outputs({Var(graph, graph.value("conv2")), small.relu});
    check_finding(ptq::validate_model(graph), Severity::warning, "conv2.weight", "conv2, conv3");
    CHECK(ptq::validate_model(graph).ok());
    ptq::prepare_model(graph, {.untie_parameters = true});
    CHECK(serious(ptq::validate_model(graph)) == 0);
  }

  TEST_CASE("a parameter shared behind its quantizer is found, shared ranges are no fault") {
    Small small;
    Graph& graph = small.graph;
    Var other = nn::conv2d(small.x, {.out_channels = 4, .kernel = 1}, "other");
    graph.set_outputs({Var(graph, graph.value("conv2")), other});
    graph.replace_input({&graph.node("other"), 1}, graph.value("conv1.weight"));
    QuantizationSimModel sim(graph);
    sim.compute_encodings([](Executor& executor) {
      executor.forward(std::vector<Tensor>{random_input({2, 3, 6, 6}, Rng(2))});
    });
    const ptq::ValidationReport report = ptq::validate_model(sim.graph());
    CHECK(sim.graph().find_value("other.input0.qdq.min") == nullptr);  // shared with conv1's
    check_finding(report, Severity::warning, "conv1.weight", "conv1, other");
    CHECK(report.ok());
  }

  TEST_CASE("batch norms that cannot be folded are listed with the reason") {
    Graph graph;
    Var x = graph.input("x", {1, 3, 6, 6});
    x = nn::relu(nn::batch_norm2d(x, {}, "first"), "relu0");
    Var y = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv1");
    Var z = nn::batch_norm2d(y, {}, "forked");
    x = nn::add(y, z, "add");
    x = nn::batch_norm2d(x, {}, "padded");
    x = nn::conv2d(x, {.out_channels = 3, .kernel = 3, .padding = 1}, "conv2");
    x = nn::batch_norm2d(nn::relu(x, "relu1"), {}, "grouped");
    x = nn::conv2d(x, {.out_channels = 3, .kernel = 1, .groups = 3}, "conv3");
    graph.set_outputs({x});
    ptq::ValidationReport report = ptq::validate_model(graph);
    check_finding(report, Severity::warning, "first", "it reads x, which no layer computes");
    check_finding(report, Severity::warning, "first", "[Relu relu0] follows it");
    check_finding(report, Severity::warning, "forked", "conv1 is read by several nodes");
    check_finding(report, Severity::warning, "padded", "conv2 pads with zeros");
    check_finding(report, Severity::warning, "grouped", "conv3 has 3 groups");
    CHECK(report.ok());
    ptq::fold_all_batch_norms(graph);  // makes them scale and shift
    CHECK(ptq::validate_model(graph).findings.empty());
  }

  TEST_CASE("variances of zero and below are counted") {
    Small small;
    const std::vector<float> variance = {0, 1, -2, 0};
    std::ranges::copy(variance, small.graph.parameter("bn1.running_var").edit().data().begin());
    const ptq::ValidationReport report = ptq::validate_model(small.graph);
    check_finding(report, Severity::error, "bn1", "1 of 4 channels is negative: 2");
    check_finding(report, Severity::warning, "bn1", "2 of 4 channels is 0: 0, 3");
    QuantizationSimModel sim(small.graph);
    check_finding(ptq::validate_model(sim.graph()), Severity::warning, "bn1", "cannot be folded");
  }

  TEST_CASE("quantizers without an encoding, without an input and without a reader") {
    Small small;
    QuantizationSimModel sim(small.graph, {.config_file = "per_channel"});
    Graph& graph = sim.graph();
    ptq::ValidationReport report = ptq::validate_model(graph);
    check_finding(report, Severity::error, "relu1.qdq", "no encoding");
    check_finding(report, Severity::error, "conv1.weight.qdq", "no encoding");
    sim.quantizer("relu1").disable();
    sim.compute_encodings([](Executor& executor) {
      executor.forward(random_input({2, 3, 6, 6}, Rng(2)));
    });
    report = ptq::validate_model(graph);
    CHECK(serious(report) == 0);
    check_finding(report, Severity::note, "bn1", "1 of 1 batch norms can be folded");

    const auto quantize = [&](Var x, const char* name) {
      return nn::quantize_dequantize(x, std::make_unique<AffineQuantizer>(), make_min_max(), name);
    };
    quantize(Var(graph, graph.value("conv1")), "unread");
    Var constant = graph.parameter("constant", Tensor(Shape{1, 4, 6, 6}), Role::weight);
    Var derived = quantize(nn::relu(constant, "relu9"), "derived");
    graph.set_outputs({Var(graph, *graph.outputs()[0]), derived});
    for (const char* name : {"unread", "derived"})
      QuantizerHandle(graph.node(name)).set_range({0, 1});
    report = ptq::validate_model(graph);
    check_finding(report, Severity::warning, "unread", "nobody reads");
    check_finding(report, Severity::warning, "derived", "no input of the graph reaches");
  }

  TEST_CASE("folding in simulation shares nothing and leaves no quantizer without data") {
    QuantizationSimModel sim(
        golden::network("network/trained.safetensors"),
        {.config_file = "per_channel", .batch_norms = BatchNormMode::fold_in_simulation});
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    sim.compute_encodings(
        [&](Executor& executor) { executor.forward(golden::tensor(data.at("x0"))); });
    CHECK(ptq::validate_model(sim.graph()).findings.empty());
    sim.graph().parameter("bn1.running_var").edit().data()[2] = 0;
    check_finding(ptq::validate_model(sim.graph()), Severity::warning, "bn1", "is 0: 2");
  }

  TEST_CASE("dead nodes, unread inputs, missing outputs") {
    Small small;
    nn::relu(nn::conv2d(small.x, {.out_channels = 2, .kernel = 1}, "dead"), "deader");
    small.graph.input("unread", {1, 1});
    const ptq::ValidationReport report = ptq::validate_model(small.graph);
    check_finding(report, Severity::warning, "dead", "no output of the graph depends on");
    check_finding(report, Severity::warning, "deader", "no output of the graph depends on");
    check_finding(report, Severity::warning, "unread", "nobody reads this input");
    CHECK(report.ok());
    Graph empty;
    nn::relu(empty.input("x", {1, 2}), "relu");
    check_finding(ptq::validate_model(empty), Severity::error, "graph", "no outputs");
    CHECK_FALSE(ptq::validate_model(empty).ok());
  }

  TEST_CASE("checks of one's own run behind the others, and reports print") {
    Small small;
    ptq::ModelValidator validator;
    validator.add_check([](const Graph& graph) {
      std::vector<ptq::Finding> found;
      for (const Node* node : graph.nodes())
        if (const Conv* conv = node->as<Conv>(); conv != nullptr && node->output().shape()[1] % 32)
          found.push_back(
              {Severity::error, node->name(), "output channels are no multiple of 32", "use 32"});
      return found;
    });
    const ptq::ValidationReport report = validator.validate_model(small.graph);
    check_finding(report, Severity::error, "conv2", "multiple of 32");
    CHECK(report.findings.back().where == "conv2");
    CHECK_FALSE(report.ok());
    CHECK(ptq::validate_model(small.graph).ok());
    std::ostringstream printed;
    printed << report;
    CHECK(printed.str().find("error    conv2: output channels are no multiple of 32\n"
                             "         -> use 32\n") != std::string::npos);
    CHECK(printed.str().ends_with("not ok; errors: 2, warnings: 0, notes: 1\n"));
  }
}
