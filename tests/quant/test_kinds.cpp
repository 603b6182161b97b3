// The quantizers beside the affine one: blocks, grouped blocks, floating-point formats, learned
// step sizes; stochastic rounding; ranges that are estimated anew in every step.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "quant/channels.h"
#include "rung/core/parallel.h"
#include "rung/exec/executor.h"
#include "rung/ops/layers.h"
#include "rung/ops/quantize_dequantize.h"
#include "support/quant_helpers.h"

using namespace rung;

namespace {

/// A parameter "w" -> quantizer "q" -> added to the input: the smallest graph that trains both.
struct Net {
  Net(const Shape& shape, std::unique_ptr<Quantizer> quantizer,
      std::unique_ptr<RangeEstimator> estimator = make_min_max()) {
    const Var x = graph.input("x", shape);
    const Var w = graph.parameter("w", normal(shape, 1), Role::weight);
    const Var q = nn::quantize_dequantize(w, std::move(quantizer), std::move(estimator), "q");
    graph.set_outputs({nn::add(x, q, "add")});
  }
  Node& node() { return graph.node("q"); }
  QuantizeDequantize& op() { return *node().as<QuantizeDequantize>(); }
  std::vector<Parameter*> parameters() { return quantizer_parameters(node()); }
  Parameter& weight() { return graph.parameter("w"); }
  void calibrate() {
    Observation seen(op());
    seen.see(weight().value().data(), weight().shape());
    op().calibrate(seen, parameters());
  }
  Encoding encoding() { return op().encoding(parameters()); }
  /// Returns q(w): what is added to an input of zeros.
  Tensor quantized(Executor& executor, Mode mode = Mode::eval) {
    return executor.forward(Tensor(weight().shape()), mode);
  }
  Graph graph;
};

QuantizerOptions blocks_of(const Shape& shape, std::int64_t axis, Blocks blocks) {
  return {.bitwidth = 4,
          .symmetry = Symmetry::symmetric,
          .axis = axis,
          .channels = shape[axis],
          .blocks = blocks};
}

}  // namespace

TEST_SUITE("quant: kinds of quantizers") {
  TEST_CASE("runs of blocks find every number's own scale, whichever axis comes first") {
    const Shape shape{6, 4, 3, 2};
    struct Case {
      std::int64_t axis;
      Blocks blocks;
    };
    for (const Case& c : {Case{0, {1, 2, 2}}, Case{1, {0, 3, 2}}, Case{1, {3, 1, 2}},
                          Case{2, {0, 2, 3}}, Case{3, {1, 4, 1}}}) {
      const Granularity cut{c.axis, shape[c.axis], c.blocks};
      const ChannelRuns runs(shape, cut);
      const Shape scales = cut.shape();
      std::vector<int> seen(static_cast<std::size_t>(cut.count()), 0);
      for (std::int64_t i = 0; i < shape.numel(); ++i) {
        std::int64_t at[4], rest = i;
        for (int axis = 3; axis >= 0; --axis) at[axis] = rest % shape[axis], rest /= shape[axis];
        const std::int64_t channel = at[c.axis], block = at[c.blocks.axis] / c.blocks.size;
        const std::int64_t expected =
            c.axis < c.blocks.axis ? channel * scales[1] + block : block * scales[1] + channel;
        CHECK(runs.channel(i / runs.length()) == expected);
        ++seen[static_cast<std::size_t>(expected)];
      }
      CHECK(std::ranges::count(seen, shape.numel() / cut.count()) == cut.count());
    }
  }

  TEST_CASE("granularities that do not fit a tensor are errors that say why") {
    const Shape shape{6, 4};
    const auto message = [&](Granularity cut) { return message_of([&] { cut.check(shape); }); };
    CHECK(message({0, 5, {}}).find("5 channels along axis 0") != std::string::npos);
    CHECK(message({0, 6, Blocks{0, 3, 2}}).find("not the channel axis") != std::string::npos);
    CHECK(message({0, 6, Blocks{1, 3, 1}}).find("1 blocks of 3") != std::string::npos);
    CHECK(message({0, 6, Blocks{2, 1, 1}}).find("axis of the tensor") != std::string::npos);
    CHECK_THROWS_AS(AffineQuantizer({.blocks = Blocks{1, 2, 2}}), Error);
  }

  TEST_CASE("a quantizer of blocks calibrates, runs and learns each block alone") {
    const Shape shape{6, 8, 3, 3};
    Net net(shape, std::make_unique<AffineQuantizer>(blocks_of(shape, 0, {1, 4, 2})));
    net.calibrate();
    CHECK(net.parameters()[0]->shape() == Shape{6, 2});
    const auto w = net.weight().value().data();
    const auto high = std::max(*std::max_element(w.begin() + 36, w.begin() + 72) / 7,
                               *std::min_element(w.begin() + 36, w.begin() + 72) / -8);
    CHECK(net.encoding().scale[1] == doctest::Approx(high).epsilon(1e-6));  // channel 0, block 1
    Executor executor(net.graph);
    CHECK(
        equal(net.quantized(executor), quantize_dequantize(net.weight().value(), net.encoding())));

    for (Parameter* parameter : net.parameters()) parameter->set_requires_grad(true);
    net.quantized(executor, Mode::train);
    const Tensor dy = normal(shape, 5);
    executor.backward(dy);
    std::vector<float> dx(w.size()), dmin(12), dmax(12);
    range_gradient(quantize_dequantize_backward(w, dy.data(), shape, net.encoding(), dx),
                   net.encoding(), net.parameters()[0]->value().data(), dmin, dmax);
    CHECK(std::ranges::equal(net.weight().grad().data(), dx));
    for (std::size_t i = 0; i < 12; ++i)
      CHECK(net.parameters()[1]->grad().data()[i] == doctest::Approx(dmax[i]).epsilon(1e-5));
  }

  TEST_CASE("grouped blocks refuse what LPBQ cannot express") {
    const Shape shape{4, 8};
    const auto options = blocks_of(shape, 0, {1, 2, 4});
    CHECK_NOTHROW(GroupedBlockQuantizer(options, {.block_grouping = 2}));
    CHECK_THROWS_AS(GroupedBlockQuantizer(options, {.block_grouping = 3}), Error);
    CHECK_THROWS_AS(GroupedBlockQuantizer(options, {.decompressed_bw = 3}), Error);
    auto asymmetric = options;
    asymmetric.symmetry = Symmetry::asymmetric;
    CHECK_THROWS_AS(GroupedBlockQuantizer(asymmetric, {}), Error);
    auto per_channel = options;
    per_channel.blocks.reset();
    CHECK_THROWS_AS(GroupedBlockQuantizer(per_channel, {}), Error);
    GroupedBlockQuantizer quantizer(options, {.decompressed_bw = 6});
    CHECK_THROWS_AS(quantizer.set_bitwidth(7), Error);
    CHECK(quantizer.bitwidth() == 4);
  }

  TEST_CASE("floating-point formats keep what they can hold and saturate or overflow beyond") {
    const float infinity = std::numeric_limits<float>::infinity();
    const auto through = [](float x, const FloatFormat& format) {
      float y = 0;
      float_quantize_dequantize({&x, 1}, format, {&y, 1});
      return y;
    };
    for (const FloatFormat& format : float_formats()) {
      CHECK(through(format.max, format) == format.max);
      CHECK(through(-2.0f * format.max, format) == (format.saturates ? -format.max : -infinity));
      CHECK(std::isnan(through(std::numeric_limits<float>::quiet_NaN(), format)));
      const float smallest = std::ldexp(1.0f, format.min_exponent - format.mantissa_bits);
      CHECK(through(smallest, format) == smallest);
      CHECK(through(0.5f * smallest, format) == 0.0f);  // a tie: to the even code 0
      CHECK(through(0.75f * smallest, format) == smallest);
      CHECK(&float_format(format.name) == &format);
    }
    CHECK(through(65520.0f, kFloat16) == infinity);  // half a step above the largest
    CHECK(through(65519.0f, kFloat16) == 65504.0f);
    CHECK(through(1.0f + 0x1p-11f, kFloat16) == 1.0f);
    CHECK(through(1.0f + 0x1p-8f, kBfloat16) == 1.0f);
    CHECK(message_of([] { float_format("fp9"); }).find("bfloat16") != std::string::npos);
  }

  TEST_CASE(
      "a float quantizer needs no calibration, keeps any layout and learns straight through") {
    Net net({4, 5}, std::make_unique<FloatQuantizer>(kFloat8E4m3fn));
    Executor executor(net.graph);
    const Tensor y = net.quantized(executor, Mode::train);
    CHECK(equal(y, quantize_dequantize(net.weight().value(), net.encoding())));
    const Tensor dy = normal({4, 5}, 2);
    executor.backward(dy);
    CHECK(equal(net.weight().grad(), dy));
    CHECK_THROWS_AS(net.op().quantizer().set_bitwidth(4), Error);
  }

  TEST_CASE("LSQ learns its scale with the paper's gradient, the zero point stays") {
    for (const Symmetry symmetry : {Symmetry::symmetric, Symmetry::asymmetric}) {
      const Shape shape{40, 30};
      Net net(shape, std::make_unique<LsqQuantizer>(
                         QuantizerOptions{.bitwidth = 4, .symmetry = symmetry}));
      net.calibrate();
      const Encoding before = net.encoding();
      Parameter& scale = *net.parameters()[0];
      scale.edit().data()[0] *= 0.5f;  // so that something is clipped
      scale.set_requires_grad(true);
      Executor executor(net.graph);
      net.quantized(executor, Mode::train);
      const Tensor dy = normal(shape, 3);
      executor.backward(dy);
      const Encoding e = net.encoding();
      CHECK(e.offset == before.offset);
      const auto gradient =
          quantize_dequantize_backward(net.weight().value().data(), dy.data(), shape, e, {});
      const double largest = static_cast<double>(e.grid.qmax + e.offset[0]);
      CHECK(scale.grad().item() ==
            doctest::Approx(gradient.scale[0] / std::sqrt(1200 * largest)).epsilon(1e-5));
      scale.edit().data()[0] = -1.0f;  // a step too far
      CHECK_NOTHROW(net.quantized(executor, Mode::train));
      CHECK(scale.value().item() == kMinimumScale);
    }
  }

  TEST_CASE(
      "stochastic rounding is right on average, in training only, and repeats with its seed") {
    Net net({100, 100}, std::make_unique<AffineQuantizer>(
                            QuantizerOptions{.bitwidth = 4, .stochastic_rounding = true}));
    Parameter& w = net.weight();
    w.edit().fill(0.3f);
    const Range range{-8.0f, 7.0f};
    net.op().set_ranges({&range, 1}, net.parameters());
    Executor executor(net.graph, {.seed = 7}), again(net.graph, {.seed = 7});
    const auto all_are = [](const Tensor& y, float value) {
      return std::ranges::all_of(y.data(), [&](float each) { return each == value; });
    };
    const Tensor y = net.quantized(executor, Mode::train);
    double mean = 0;
    for (const float each : y.data()) {
      CHECK((each == 0.0f || each == 1.0f));
      mean += each / 10000.0;
    }
    CHECK(mean == doctest::Approx(0.3).epsilon(0.05));
    CHECK(equal(net.quantized(again, Mode::train), y));
    CHECK_FALSE(equal(net.quantized(executor, Mode::train), y));  // the next step draws anew
    CHECK(all_are(net.quantized(executor), 0.0f));
    w.edit().fill(3.0f);  // whole steps stay
    CHECK(all_are(net.quantized(executor, Mode::train), 3.0f));
    w.edit().fill(7.4f);  // never beyond the grid
    CHECK(all_are(net.quantized(executor, Mode::train), 7.0f));
    set_thread_count(1);
    Executor one(net.graph, {.seed = 7});
    w.edit().fill(0.3f);
    CHECK(equal(net.quantized(one, Mode::train), y));
    set_thread_count(0);
  }

  TEST_CASE("stochastic rounding teaches ranges about the code that was drawn") {
    const Shape shape{30, 30};
    Net net(shape, std::make_unique<AffineQuantizer>(
                       QuantizerOptions{.bitwidth = 3, .stochastic_rounding = true}));
    const Range range{-1.0f, 1.5f};
    net.op().set_ranges({&range, 1}, net.parameters());
    for (Parameter* parameter : net.parameters()) parameter->set_requires_grad(true);
    Executor executor(net.graph, {.seed = 3});
    const Tensor y = net.quantized(executor, Mode::train), dy = normal(shape, 2);
    executor.backward(dy);
    // d y / d scale = (code + offset) - x / scale inside, code + offset outside.
    const Encoding e = net.encoding();
    double dscale = 0;
    for (std::size_t i = 0; i < y.data().size(); ++i) {
      const double steps = double{net.weight().value().data()[i]} / e.scale[0];
      const double q = std::nearbyint(steps) - static_cast<double>(e.offset[0]);
      const double code = y.data()[i] / e.scale[0];
      dscale += dy.data()[i] * (q >= 0 && q <= 7 ? code - steps : code);
      CHECK(net.weight().grad().data()[i] == (q >= 0 && q <= 7 ? dy.data()[i] : 0.0f));
    }
    const double dmax = net.parameters()[1]->grad().item();
    const double outside = net.parameters()[0]->grad().item() + dmax;  // the part of the offset
    CHECK(std::isfinite(outside));
    std::vector<float> dmin(1), expected(1);
    auto gradient =
        quantize_dequantize_backward(net.weight().value().data(), dy.data(), shape, e, {});
    gradient.scale[0] = dscale;
    range_gradient(gradient, e, net.parameters()[0]->value().data(), dmin, expected);
    CHECK(dmax == doctest::Approx(expected[0]).epsilon(1e-4));
  }

  TEST_CASE("recomputed ranges follow the weights in training and are fresh in evaluation") {
    Net net({6, 7}, std::make_unique<AffineQuantizer>(QuantizerOptions{
                        .bitwidth = 4, .symmetry = Symmetry::symmetric, .axis = 0, .channels = 6}));
    net.calibrate();
    net.op().set_recomputed(true);
    Executor executor(net.graph);
    for (const Mode mode : {Mode::train, Mode::eval, Mode::eval}) {
      for (float& each : net.weight().edit().data()) each *= 1.5f;
      const Tensor y = net.quantized(executor, mode);
      const float largest = *std::max_element(net.weight().value().data().begin(),
                                              net.weight().value().data().begin() + 7);
      CHECK(net.parameters()[1]->value().data()[0] >= largest);
      CHECK(equal(y, quantize_dequantize(net.weight().value(), net.encoding())));
    }
    net.op().set_frozen(true);
    const Encoding before = net.encoding();
    for (float& each : net.weight().edit().data()) each *= 1.5f;
    net.quantized(executor, Mode::train);
    CHECK(net.encoding().scale == before.scale);
  }
}
