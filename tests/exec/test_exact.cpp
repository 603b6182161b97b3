// The exact mode of evaluation: between quantizers, Conv and Gemm sum whole numbers, so that the
// result equals integer arithmetic bit for bit.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/ops/shape_ops.h"
#include "support/quant_helpers.h"

using namespace rung;

namespace {

void set_range(Graph& graph, const std::string& name, const std::vector<Range>& ranges) {
  Node& node = graph.node(name);
  node.as<QuantizeDequantize>()->set_ranges(ranges, quantizer_parameters(node));
}

Encoding encoding_of(Graph& graph, const std::string& name) {
  Node& node = graph.node(name);
  return node.as<QuantizeDequantize>()->encoding(quantizer_parameters(node));
}

void quantize_parameter(Graph& graph, const std::string& name, QuantizerOptions options) {
  Value& value = graph.value(name);
  options.channels = options.axis ? value.shape()[*options.axis] : 1;
  auto op = std::make_unique<QuantizeDequantize>(std::make_unique<AffineQuantizer>(options),
                                                 make_min_max());
  const auto extra = add_quantizer_parameters(graph, op->quantizer(), name + ".qdq");
  Node& node = graph.insert_after(value, std::move(op), extra, name + ".qdq");
  auto& quantizer = *node.as<QuantizeDequantize>();
  Observation seen(quantizer);
  seen.see(value.parameter()->value().data(), value.shape());
  quantizer.calibrate(seen, quantizer_parameters(node));
}

struct ConvCase {
  std::int64_t inputs, outputs, kernel, stride, padding, groups;
  int x_bits, w_bits;
  bool relu;
};

/// x -> quantizer -> Conv with quantized weights and a bias (-> Relu).
Graph conv_net(const ConvCase& c, std::uint64_t seed) {
  Graph graph;
  Var x = graph.input("x", {1, c.inputs, 9, 7});
  x = nn::quantize_dequantize(
      x, std::make_unique<AffineQuantizer>(QuantizerOptions{.bitwidth = c.x_bits}), make_min_max(),
      "xq");
  Var y = nn::conv2d(x,
                     {.out_channels = c.outputs,
                      .kernel = c.kernel,
                      .stride = c.stride,
                      .padding = c.padding,
                      .groups = c.groups},
                     "conv");
  if (c.relu) y = nn::relu(y, "relu");
  graph.set_outputs({y});
  for (const char* name : {"conv.weight", "conv.bias"}) {
    Parameter& parameter = graph.parameter(name);
    parameter.edit().copy_from(normal(parameter.shape(), seed++));
  }
  quantize_parameter(graph, "conv.weight",
                     {.bitwidth = c.w_bits, .symmetry = Symmetry::symmetric, .axis = 0});
  set_range(graph, "xq", {{-1.1f, 2.3f}});
  return graph;
}

/// The contract in integers: acc * float(s_x * s_w) + bias.
std::vector<float> integer_conv(Graph& graph, const ConvCase& c, const Tensor& x) {
  const Encoding ex = encoding_of(graph, "xq"), ew = encoding_of(graph, "conv.weight.qdq");
  const ConstTensor& w = graph.parameter("conv.weight").value();
  const auto bias = graph.parameter("conv.bias").value().data();
  const auto qx = quantize(x.data(), x.shape(), ex);
  const auto qw = quantize(w.data(), w.shape(), ew);
  const Conv& conv = *graph.node("conv").as<Conv>();
  const Shape y = conv.infer(std::vector<Shape>{x.shape(), w.shape()})[0];
  const std::int64_t group_in = c.inputs / c.groups, group_out = c.outputs / c.groups;
  std::vector<float> out;
  for (std::int64_t n = 0; n < y[0]; ++n)
    for (std::int64_t o = 0; o < y[1]; ++o)
      for (std::int64_t i = 0; i < y[2]; ++i)
        for (std::int64_t j = 0; j < y[3]; ++j) {
          std::int64_t acc = 0;
          for (std::int64_t k = 0; k < group_in; ++k)
            for (std::int64_t u = 0; u < c.kernel; ++u)
              for (std::int64_t v = 0; v < c.kernel; ++v) {
                const std::int64_t row = i * c.stride + u - c.padding;
                const std::int64_t column = j * c.stride + v - c.padding;
                if (row < 0 || row >= x.shape()[2] || column < 0 || column >= x.shape()[3])
                  continue;
                const std::int64_t channel = o / group_out * group_in + k;
                const auto at = static_cast<std::size_t>(
                    ((n * c.inputs + channel) * x.shape()[2] + row) * x.shape()[3] + column);
                const auto weight =
                    static_cast<std::size_t>(((o * group_in + k) * c.kernel + u) * c.kernel + v);
                acc += (qx[at] + ex.offset[0]) * std::int64_t{qw[weight]};
              }
          const float scale = ex.scale[0] * ew.scale[static_cast<std::size_t>(o)];
          const float value = static_cast<float>(acc) * scale + bias[static_cast<std::size_t>(o)];
          out.push_back(c.relu && value < 0 ? 0.0f : value);
        }
  return out;
}

bool equal(std::span<const float> a, std::span<const float> b) { return std::ranges::equal(a, b); }

}  // namespace

TEST_SUITE("exec: exact") {
  TEST_CASE("a convolution between quantizers equals integer arithmetic, in every layout") {
    const ConvCase cases[] = {{3, 8, 3, 1, 1, 1, 8, 8, false},
                              {16, 21, 3, 2, 1, 1, 8, 8, true},
                              {32, 16, 1, 1, 0, 1, 4, 4, true},
                              {16, 32, 3, 1, 1, 16, 8, 4, false},
                              {40, 24, 3, 1, 0, 2, 8, 8, true}};
    for (const ConvCase& c : cases)
      for (const LayoutPolicy layout : {LayoutPolicy::blocked, LayoutPolicy::plain})
        for (const bool fuse : {true, false}) {
          CAPTURE(c.inputs);
          CAPTURE(c.groups);
          Graph graph = conv_net(c, 3);
          const Tensor x = normal({2, c.inputs, 9, 7}, 8);
          Executor executor(graph, {.layout = layout, .fuse = fuse});
          CHECK(equal(executor.forward(x).data(), integer_conv(graph, c, x)));
          CHECK(to_string(executor.plan()).find("exact") != std::string::npos);
        }
  }

  TEST_CASE("sums beyond 2^24 are cut into parts and stay exact") {
    const ConvCase c{64, 9, 3, 1, 1, 1, 12, 8, false};  // 64 * 9 * 4095 * 127 is about 2^28
    Graph graph = conv_net(c, 5);
    Parameter& weight = graph.parameter("conv.weight");
    for (float& each : weight.edit().data()) each = std::fabs(each) + 1.0f;
    Node& node = graph.node("conv.weight.qdq");
    auto& quantizer = *node.as<QuantizeDequantize>();
    Observation seen(quantizer);
    seen.see(weight.value().data(), weight.shape());
    quantizer.calibrate(seen, quantizer_parameters(node));
    Tensor x = normal({2, c.inputs, 9, 7}, 8);
    for (float& each : x.data()) each = std::fabs(each);
    Executor executor(graph);
    CHECK(equal(executor.forward(x).data(), integer_conv(graph, c, x)));
    // New weights and another bitwidth at run time.
    weight.edit().data()[0] = -3.0f;
    CHECK(equal(executor.forward(x).data(), integer_conv(graph, c, x)));
    graph.node("xq").as<QuantizeDequantize>()->quantizer().set_bitwidth(5);
    CHECK(equal(executor.forward(x).data(), integer_conv(graph, c, x)));
  }

  TEST_CASE("codes too large for any exact sum still give the rounded result") {
    const ConvCase c{4, 5, 3, 1, 1, 1, 16, 16, true};
    Graph graph = conv_net(c, 5);
    const Tensor x = normal({2, c.inputs, 9, 7}, 8);
    Executor exact(graph), real(graph, {.exact = false});
    const Tensor a = exact.forward(x), b = real.forward(x);
    for (std::size_t i = 0; i < a.data().size(); ++i)
      CHECK(a.data()[i] == doctest::Approx(b.data()[i]).epsilon(1e-4));
  }

  TEST_CASE("without quantization at the input it computes what a plan without codes computes") {
    const ConvCase c{16, 24, 3, 1, 1, 1, 8, 8, true};
    Graph graph = conv_net(c, 3);
    const Tensor x = normal({2, c.inputs, 9, 7}, 8);
    Executor exact(graph), real(graph, {.exact = false});
    auto& xq = *graph.node("xq").as<QuantizeDequantize>();
    Observers passing, observing;
    passing.pass(graph.node("xq"));
    observing.observe(graph.node("xq"));
    for (Observers* observers : {&passing, &observing}) {
      const auto in_exact = exact.observe(*observers), in_real = real.observe(*observers);
      CHECK(equal(exact.forward(x).data(), real.forward(x).data()));
    }
    xq.set_enabled(false);
    CHECK(equal(exact.forward(x).data(), real.forward(x).data()));
    xq.set_enabled(true);
    graph.node("conv.weight.qdq").as<QuantizeDequantize>()->set_enabled(false);
    const Tensor a = exact.forward(x), b = real.forward(x);
    for (std::size_t i = 0; i < a.data().size(); ++i)
      CHECK(a.data()[i] == doctest::Approx(b.data()[i]).epsilon(1e-5));
  }

  TEST_CASE("a quantized value that is also added or watched stays real there") {
    Graph graph;
    Var x = graph.input("x", {2, 8, 5, 5});
    x = nn::quantize_dequantize(x, std::make_unique<AffineQuantizer>(), make_min_max(), "xq");
    const Var y = nn::conv2d(x, {.out_channels = 8, .kernel = 3, .padding = 1}, "conv");
    graph.set_outputs({nn::add(x, y, "add")});
    Parameter& weight = graph.parameter("conv.weight");
    weight.edit().copy_from(normal(weight.shape(), 1));
    quantize_parameter(graph, "conv.weight", {.symmetry = Symmetry::symmetric});
    set_range(graph, "xq", {{-2.0f, 2.0f}});
    const Tensor data = normal({2, 8, 5, 5}, 4);
    Executor exact(graph), real(graph, {.exact = false}), watching(graph);
    const Tensor a = exact.forward(data), b = real.forward(data);
    for (std::size_t i = 0; i < a.data().size(); ++i)
      CHECK(a.data()[i] == doctest::Approx(b.data()[i]).epsilon(1e-4));
    watching.watch({"xq"});
    CHECK(equal(watching.forward(data).data(), a.data()));
    CHECK(equal(watching.value("xq").data(),
                quantize_dequantize(data, encoding_of(graph, "xq")).data()));
  }

  TEST_CASE("a Gemm between quantizers equals integer arithmetic") {
    Graph graph;
    Var x = graph.input("x", {5, 70});
    x = nn::quantize_dequantize(x, std::make_unique<AffineQuantizer>(), make_min_max(), "xq");
    graph.set_outputs({nn::linear(x, {.out_features = 11}, "fc")});
    for (const char* name : {"fc.weight", "fc.bias"})
      graph.parameter(name).edit().copy_from(normal(graph.parameter(name).shape(), 2));
    quantize_parameter(graph, "fc.weight", {.symmetry = Symmetry::symmetric});
    set_range(graph, "xq", {{-2.0f, 3.0f}});
    const Tensor data = normal({5, 70}, 4);
    const Encoding ex = encoding_of(graph, "xq"), ew = encoding_of(graph, "fc.weight.qdq");
    const auto qx = quantize(data.data(), data.shape(), ex);
    const auto qw = quantize(graph.parameter("fc.weight").value().data(), ew);
    std::vector<float> expected;
    for (std::size_t n = 0; n < 5; ++n)
      for (std::size_t o = 0; o < 11; ++o) {
        std::int64_t acc = 0;
        for (std::size_t i = 0; i < 70; ++i)
          acc += (qx[n * 70 + i] + ex.offset[0]) * std::int64_t{qw[o * 70 + i]};
        expected.push_back(static_cast<float>(acc) * (ex.scale[0] * ew.scale[0]) +
                           graph.parameter("fc.bias").value().data()[o]);
      }
    Executor executor(graph);
    CHECK(equal(executor.forward(data).data(), expected));
  }

  TEST_CASE("codes go through ops that only move numbers, which may be read as numbers, too") {
    const auto layer = [](Graph& graph, Var x) {
      const Var y = nn::linear(x, {.out_features = 11}, "fc");
      graph.parameter("fc.weight").edit().copy_from(normal({11, 48}, 2));
      graph.parameter("fc.bias").edit().copy_from(normal({11}, 3));
      quantize_parameter(graph, "fc.weight", {.symmetry = Symmetry::symmetric});
      return y;
    };
    const auto quantized = [](Graph& graph, const Shape& shape) {
      return nn::quantize_dequantize(graph.input("x", shape), std::make_unique<AffineQuantizer>(),
                                     make_min_max(), "xq");
    };
    const auto moved = [](Var x) {
      x = nn::max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1}, "pool");
      return nn::flatten(nn::transpose(x, {0, 2, 1, 3}, "turned"), "flat");
    };
    Graph whole, front, back;
    const Var flat = moved(quantized(whole, {2, 3, 8, 8}));
    const Var y = layer(whole, flat);
    whole.set_outputs({y, nn::relu(flat, "also")});
    front.set_outputs({moved(quantized(front, {2, 3, 8, 8}))});
    const Var z = layer(back, quantized(back, {2, 48}));
    back.set_outputs({z});
    for (Graph* graph : {&whole, &front, &back}) set_range(*graph, "xq", {{-2.0f, 3.0f}});

    const Tensor data = normal({2, 3, 8, 8}, 4);
    Executor executor(whole), watching(whole), first(front), second(back);
    const Tensor numbers = first.forward(data), expected = second.forward(numbers);
    const std::vector<Tensor> got = executor.forward(std::span(&data, 1));
    CHECK(equal(got.at(0).data(), expected.data()));
    for (std::size_t i = 0; i < numbers.data().size(); ++i)
      CHECK(got.at(1).data()[i] == std::max(0.0f, numbers.data()[i]));
    CHECK(to_string(executor.plan()).find("pool codes") != std::string::npos);
    watching.watch({"turned"});
    CHECK(equal(watching.forward(std::span(&data, 1)).at(0).data(), expected.data()));
    CHECK(equal(watching.value("turned").data(), numbers.data()));
    Executor real(whole, {.exact = false});
    const std::vector<Tensor> rounded = real.forward(std::span(&data, 1));
    for (std::size_t i = 0; i < expected.data().size(); ++i)
      CHECK(rounded.at(0).data()[i] == doctest::Approx(expected.data()[i]).epsilon(1e-4));
  }
}
