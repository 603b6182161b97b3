#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/parallel.h"
#include "rung/core/rng.h"
#include "rung/exec/executor.h"
#include "rung/graph/kernel.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quant/registry.h"
#include "support/notes.h"
#include "support/quant_helpers.h"

using namespace rung;

namespace {

/// x -> quantizer "q" -> output.
struct Net {
  explicit Net(Shape shape, QuantizerOptions options = {},
               std::unique_ptr<RangeEstimator> estimator = make_min_max()) {
    const Var x = graph.input("x", shape);
    graph.set_outputs({nn::quantize_dequantize(x, std::make_unique<AffineQuantizer>(options),
                                               std::move(estimator), "q")});
  }
  QuantizeDequantize& op() { return *graph.node("q").as<QuantizeDequantize>(); }
  Node& node() { return graph.node("q"); }
  std::vector<Parameter*> parameters() { return quantizer_parameters(graph.node("q")); }
  Graph graph;
};

std::unique_ptr<RangeEstimator> estimator_of(std::string_view name) {
  return name == "percentile" ? make_percentile(90.0) : make_range_estimator(name);
}

}  // namespace

TEST_SUITE("quant: QuantizeDequantize") {
  TEST_CASE("a forward before any encoding is an error that names node and remedy") {
    Net net({2, 3});
    Executor executor(net.graph);
    const std::string text = message_of([&] { executor.forward(normal({2, 3}, 1)); });
    CHECK(text.find("q") != std::string::npos);
    CHECK(text.find("compute_encodings") != std::string::npos);
    net.op().set_enabled(false);
    CHECK(executor.forward(normal({2, 3}, 1)).shape() == Shape{2, 3});
  }

  TEST_CASE("observing passes x and ends with the range that was seen; no plan is rebuilt") {
    Net net({4, 3, 5, 5});
    Executor executor(net.graph);
    const Tensor a = normal({4, 3, 5, 5}, 1), b = normal({4, 3, 5, 5}, 2, 3.0);
    const std::uint64_t version = net.graph.version();
    Observers observers;
    observers.observe(net.node());
    {
      const auto observing = executor.observe(observers);
      CHECK(equal(executor.forward(a), a));
      CHECK(equal(executor.forward(b), b));
    }
    CHECK(observers.at(net.node()).count() == 600);
    net.op().calibrate(observers.at(net.node()), net.parameters());
    const auto [min, max] = std::ranges::minmax(b.data());
    CHECK(net.parameters()[0]->value().item() == min);
    CHECK(net.parameters()[1]->value().item() == max);
    const Encoding encoding = net.op().encoding(net.parameters());
    CHECK(equal(executor.forward(a), quantize_dequantize(a, encoding)));

    net.op().quantizer().set_bitwidth(3);
    const Encoding coarse = net.op().encoding(net.parameters());
    CHECK(coarse.grid.qmax == 7);
    CHECK(equal(executor.forward(a), quantize_dequantize(a, coarse)));
    net.op().quantizer().set_bitwidth(24);  // in double
    CHECK(equal(executor.forward(a), quantize_dequantize(a, net.op().encoding(net.parameters()))));
    net.op().quantizer().set_bitwidth(32);
    CHECK(equal(executor.forward(a), a));
    CHECK(net.graph.version() == version);
  }

  TEST_CASE("frozen ranges survive calibration, and nothing observed is an error") {
    Net net({2, 3});
    const Range range{-1.0f, 2.0f};
    net.op().set_ranges({&range, 1}, net.parameters());
    net.op().set_frozen(true);
    Executor executor(net.graph);
    Observers observers;
    observers.observe(net.node());
    const auto observing = executor.observe(observers);
    executor.forward(normal({2, 3}, 1, 100.0));
    net.op().calibrate(observers.at(net.node()), net.parameters());
    CHECK(net.parameters()[1]->value().item() == 2.0f);
    net.op().set_frozen(false);
    const Observation nothing = observers.at(net.node()).fresh();
    CHECK_THROWS_AS(net.op().calibrate(nothing, net.parameters()), Error);
    CHECK(net.parameters()[1]->value().item() == 2.0f);
  }

  TEST_CASE("NaN in calibration data is an error that counts and names the node") {
    Net net({2, 3}, {}, make_sqnr());
    Executor executor(net.graph);
    Tensor x = normal({2, 3}, 1);
    x.data()[1] = std::numeric_limits<float>::quiet_NaN();
    Observers observers;
    observers.observe(net.node());
    const auto observing = executor.observe(observers);
    const std::string text = message_of([&] { executor.forward(x); });
    CHECK(text.find("QuantizeDequantize q") != std::string::npos);
    CHECK(text.find("1 of 6") != std::string::npos);
    CHECK(observers.at(net.node()).count() == 0);
  }

  TEST_CASE("whichever axis the channels lie on, each finds what it would find alone") {
    const Shape shape{3, 4, 5};  // AIMET's histograms mix channels up unless they lie on axis 0
    for (const std::int64_t axis : {0, 1, 2})
      for (const char* name : {"min_max", "sqnr", "percentile"}) {
        const std::int64_t channels = shape[axis];
        QuantizeDequantize op(std::make_unique<AffineQuantizer>(QuantizerOptions{
                                  .bitwidth = 4, .axis = axis, .channels = channels}),
                              estimator_of(name));
        std::vector<std::unique_ptr<RangeEstimator>> alone;
        for (std::int64_t c = 0; c < channels; ++c) alone.push_back(estimator_of(name));
        Observation seen(op);
        for (const double size : {1.0, 3.0}) {  // the second batch makes the ranges grow
          const Tensor x = normal(shape, 7, size);
          seen.see(x.data(), shape);
          const std::int64_t inner = axis == 0 ? 20 : axis == 1 ? 5 : 1;
          for (std::int64_t c = 0; c < channels; ++c) {
            std::vector<float> own;
            for (std::int64_t i = 0; i < shape.numel(); ++i)
              if (i / inner % channels == c) own.push_back(x.data()[static_cast<std::size_t>(i)]);
            observe(*alone[static_cast<std::size_t>(c)], own);
          }
        }
        const std::vector<Range> ranges = op.estimate(seen);
        for (std::size_t c = 0; c < alone.size(); ++c)
          CHECK(ranges[c] == alone[c]->estimate(op.quantizer().grid(), Symmetry::asymmetric));
      }
  }

  TEST_CASE("padding of blocked formats never reaches an estimator") {
    for (const Format format : {Format::blocked8, Format::blocked16})
      for (const std::int64_t channels : {3, 8, 13, 16, 21}) {
        const auto block = static_cast<std::int64_t>(format);
        const Shape shape{2, channels, 3, 2};
        const std::int64_t blocks = (channels + block - 1) / block;
        std::vector<float> x(static_cast<std::size_t>(2 * blocks * 6 * block), 0.0f), y(x.size());
        double sum = 0;
        for (std::int64_t n = 0; n < 2; ++n)
          for (std::int64_t c = 0; c < channels; ++c)
            for (std::int64_t p = 0; p < 6; ++p) {
              const auto v = static_cast<float>(100 + n * 50 + c + 0.1 * static_cast<double>(p));
              x[static_cast<std::size_t>(((n * blocks + c / block) * 6 + p) * block + c % block)] =
                  v;
              sum += v;
            }
        const Shape scalar;
        Graph graph;
        const Var source = graph.input("x", shape);
        graph.set_outputs({nn::quantize_dequantize(source, std::make_unique<AffineQuantizer>(),
                                                   make_sqnr(), "q")});
        auto& op = *graph.node("q").as<QuantizeDequantize>();
        const std::vector<Shape> inputs{shape, scalar, scalar};
        const std::vector<Format> formats{format, Format::plain, Format::plain};
        const bool wants[3] = {false, false, false};
        KernelContext context{.name = "q",
                              .inputs = inputs,
                              .outputs = {inputs.data(), 1},
                              .formats = formats,
                              .blocked = format,
                              .wants = wants};
        const auto kernel = op.compile(context);
        REQUIRE(kernel->output_formats[0] == format);
        const auto count = static_cast<std::int64_t>(x.size());
        float min = 0.0f, max = 200.0f;
        const View in[3] = {{x.data(), &shape, format, count},
                            {&min, &scalar, Format::plain, 1},
                            {&max, &scalar, Format::plain, 1}};
        const View out[1] = {{y.data(), &shape, format, count}};
        Parameter* const none[3] = {};
        Observers observers;
        observers.observe(graph.node("q"));
        const Observation& seen = observers.at(graph.node("q"));
        kernel->forward(Io(in, out, Mode::eval, Rng(), nullptr, nullptr, none, &observers));
        CHECK(y == x);
        CHECK(seen.count() == shape.numel());
        CHECK(seen.estimators()[0]->observed().min == 100.0f);
        CHECK(seen.estimators()[0]->state()[0] == 100.0);
        double counted = 0;  // 2 numbers of range, counts, count
        const auto state = seen.estimators()[0]->state();
        for (std::size_t i = 2; i + 1 < state.size(); ++i) counted += state[i];
        CHECK(counted == shape.numel());

        op.set_initialized(true);
        kernel->forward(Io(in, out, Mode::eval, Rng(), nullptr, nullptr, none));
        for (std::size_t i = 0; i < x.size(); ++i) CHECK((y[i] == 0.0f) == (x[i] == 0.0f));
      }
  }

  TEST_CASE("gradients of x, min and max are the specification's, with any number of threads") {
    const Shape shapes[] = {{3, 5, 40, 70}, {6, 40, 70}};
    for (const Shape& shape : shapes)
      for (const Symmetry symmetry : {Symmetry::asymmetric, Symmetry::symmetric}) {
        const bool per_channel = shape.rank() == 3;
        for (const std::int64_t axis :
             per_channel ? std::vector<std::int64_t>{0, 1, 2} : std::vector<std::int64_t>{-1}) {
          QuantizerOptions options{.bitwidth = 4, .symmetry = symmetry};
          if (axis >= 0) options.axis = axis, options.channels = shape[axis];
          Net net(shape, options);
          const Tensor x = normal(shape, 1), dy = normal(shape, 2);
          std::vector<Range> ranges;
          for (std::int64_t c = 0; c < options.channels; ++c)
            ranges.push_back({-0.5f - 0.01f * static_cast<float>(c), 1.0f});
          net.op().set_ranges(ranges, net.parameters());
          for (Parameter* parameter : net.parameters()) parameter->set_requires_grad(true);
          const auto encoding = net.op().encoding(net.parameters());
          std::vector<float> dx(x.data().size()), dmin(ranges.size()), dmax(ranges.size());
          range_gradient(quantize_dequantize_backward(x.data(), dy.data(), shape, encoding, dx),
                         encoding, net.parameters()[0]->value().data(), dmin, dmax);
          std::vector<float> first;
          for (const int threads : {1, 2, 3}) {
            set_thread_count(threads);
            Executor executor(net.graph);
            const Tensor y = executor.forward(x, Mode::train);
            CHECK(equal(y, quantize_dequantize(x, encoding)));
            for (Parameter* parameter : net.parameters()) parameter->zero_grad();
            executor.backward(dy);
            std::vector<float> got;
            for (Parameter* p : net.parameters())
              got.insert(got.end(), p->grad().data().begin(), p->grad().data().end());
            for (std::size_t c = 0; c < ranges.size(); ++c) {
              CHECK(got[c] == doctest::Approx(dmin[c]).epsilon(1e-5));
              CHECK(got[ranges.size() + c] == doctest::Approx(dmax[c]).epsilon(1e-5));
            }
            if (first.empty()) first = got;
            CHECK(got == first);
          }
          set_thread_count(0);
        }
      }
  }

  TEST_CASE("a learned range that an optimizer has broken is legal at the next forward") {
    Net net({2, 3});
    const Range range{-1.0f, 2.0f};
    net.op().set_ranges({&range, 1}, net.parameters());
    for (Parameter* parameter : net.parameters()) parameter->set_requires_grad(true);
    Executor executor(net.graph);
    executor.forward(normal({2, 3}, 1), Mode::train);
    net.parameters()[0]->edit().fill(5.0f);
    net.parameters()[1]->edit().fill(-5.0f);
    executor.forward(normal({2, 3}, 1), Mode::train);
    CHECK(net.parameters()[0]->value().item() == 0.0f);
    CHECK(net.parameters()[1]->value().item() > 0.0f);
    net.parameters()[1]->edit().fill(std::numeric_limits<float>::quiet_NaN());
    const std::string text = message_of([&] { executor.forward(normal({2, 3}, 1), Mode::train); });
    CHECK(text.find("q.min") != std::string::npos);
    CHECK(text.find("NaN") != std::string::npos);
  }

  TEST_CASE("a weight is quantized anew whatever changes together") {
    Graph graph;
    const Var x = graph.input("x", {4}), w = graph.parameter("w", normal({4}, 1), Role::weight);
    const Var q =
        nn::quantize_dequantize(w, std::make_unique<AffineQuantizer>(), make_min_max(), "q");
    graph.set_outputs({nn::add(x, q, "sum")});
    auto& op = *graph.node("q").as<QuantizeDequantize>();
    const auto parameters = quantizer_parameters(graph.node("q"));
    const Range range{-2.0f, 2.0f};
    op.set_ranges({&range, 1}, parameters);
    Executor executor(graph);
    const Tensor zeros({4});
    executor.forward(zeros);
    // A sum of versions with weights would not notice: -64 + 2 for the settings, 2 * 31 for max.
    op.quantizer().set_bitwidth(7);
    op.quantizer().set_symmetry(Symmetry::strict_symmetric);
    for (int i = 0; i < 2; ++i) parameters[1]->edit();
    const Tensor expected =
        quantize_dequantize(graph.parameter("w").value(), op.encoding(parameters));
    CHECK(equal(executor.forward(zeros), expected));
  }

  TEST_CASE("everything that rebuilds the op goes through visit") {
    QuantizeDequantize op(
        std::make_unique<AffineQuantizer>(QuantizerOptions{
            .bitwidth = 5, .symmetry = Symmetry::unsigned_symmetric, .axis = 1, .channels = 7}),
        make_percentile(99.5));
    op.quantizer().resolve({-1, 1});
    op.set_frozen(true);
    op.set_enabled(false);
    op.set_initialized(true);
    Notes notes;
    op.visit(notes);
    notes.writing = true;
    const auto made = make_op("QuantizeDequantize");
    REQUIRE(made != nullptr);
    made->visit(notes);
    const auto& again = dynamic_cast<const QuantizeDequantize&>(*made);
    CHECK(again.quantizer().bitwidth() == 5);
    CHECK(again.quantizer().symmetry() == Symmetry::unsigned_symmetric);
    CHECK(again.quantizer().resolved_symmetry() == Symmetry::symmetric);
    CHECK(again.quantizer().axis() == 1);
    CHECK(again.quantizer().channels() == 7);
    CHECK(again.estimator().name() == "percentile");
    CHECK(to_string(again.estimator()) == "percentile {percentile=99.5}");
    CHECK(again.frozen());
    CHECK_FALSE(again.enabled());
    CHECK(again.initialized());
    CHECK_NOTHROW(again.check_savable());
    notes.values["kind"] = std::string("mine");
    CHECK(message_of([&] { made->visit(notes); }).find("mine") != std::string::npos);
  }

  TEST_CASE("parameters that do not fit are refused when the node is added") {
    Graph graph;
    const Var x = graph.input("x", {4, 6});
    const auto add = [&](QuantizerOptions options) {
      nn::quantize_dequantize(x, std::make_unique<AffineQuantizer>(options), make_min_max(), "q");
    };
    CHECK_THROWS_AS(add({.axis = 0, .channels = 5}), Error);
    CHECK_THROWS_AS(add({.axis = 2, .channels = 6}), Error);
    CHECK_THROWS_AS(AffineQuantizer({.bitwidth = 1}), Error);
    CHECK_THROWS_AS(AffineQuantizer({.channels = 3}), Error);
  }
}
