#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/exec/executor.h"
#include "rung/ops/quantize_dequantize.h"
#include "support/quant_helpers.h"

// Quantizers and range estimators as a program outside the library writes them.

using namespace rung;

namespace {

/// A user's quantizer with one learned scale, in the fused kernels (LSQ without its gradient
/// scale).
class LearnedScale final : public Quantizer {
 public:
  LearnedScale() : Quantizer({.bitwidth = 4, .symmetry = Symmetry::symmetric}) {}
  std::string_view kind() const override { return "learned_scale"; }
  std::vector<ParameterSpec> parameters() const override { return {{"scale", {}, 1.0f}}; }
  Encoding encoding(ParameterView p) const override {
    return {bitwidth(), symmetry(), grid(), {}, {p[0][0]}, {0}};
  }
  void initialize(std::span<const Range> ranges, MutableParameterView p) const override {
    p[0][0] = ranges[0].max / static_cast<float>(grid().qmax);
  }
  void chain(const EncodingGradient& g, const Encoding&, ParameterView,
             MutableParameterView d) const override {
    if (!d[0].empty()) d[0][0] = static_cast<float>(g.scale[0]);
  }
  std::unique_ptr<Quantizer> clone() const override {
    return std::make_unique<LearnedScale>(*this);
  }
};

/// A user's quantizer that computes something else: the sign.
class Binary final : public Quantizer {
 public:
  Binary() : Quantizer({.bitwidth = 2, .symmetry = Symmetry::symmetric}) {}
  std::string_view kind() const override { return "binary"; }
  std::vector<ParameterSpec> parameters() const override { return {}; }
  Encoding encoding(ParameterView) const override {
    return {2, Symmetry::symmetric, grid(), {}, {1.0f}, {0}};
  }
  void initialize(std::span<const Range>, MutableParameterView) const override {}
  void chain(const EncodingGradient&, const Encoding&, ParameterView,
             MutableParameterView) const override {}
  bool runs_fused() const override { return false; }
  void forward(const QuantizeIo& io) const override {
    for (std::size_t i = 0; i < io.x.size(); ++i) io.y[i] = io.x[i] < 0 ? -1.0f : 1.0f;
  }
  std::unique_ptr<Quantizer> clone() const override { return std::make_unique<Binary>(*this); }
};

/// A user's range estimator: the first batch's range, doubled.
class Doubled final : public RangeEstimator {
 public:
  std::string name() const override { return "doubled"; }
  void begin_batch(Range seen, std::int64_t count) override { seen_ = seen, count_ += count; }
  void accumulate(std::span<const float>) override {}
  void end_batch() override {}
  void merge(const RangeEstimator&) override {}
  Range estimate(const Grid& grid, Symmetry symmetry) const override {
    return legal_range({2 * seen_.min, 2 * seen_.max}, grid, symmetry);
  }
  Range observed() const override { return seen_; }
  std::int64_t count() const override { return count_; }
  void reset() override { *this = {}; }
  std::unique_ptr<RangeEstimator> clone() const override {
    return std::make_unique<Doubled>(*this);
  }
  std::vector<double> state() const override { return {}; }
  void load_state(std::span<const double>) override {}

 private:
  Range seen_;
  std::int64_t count_ = 0;
};

}  // namespace

TEST_SUITE("quant: extensions of a user") {
  TEST_CASE(
      "a user's quantizers and range estimators run, learn, and say that no file takes them") {
    Graph graph;
    const Var x = graph.input("x", {4, 6});
    const Var a = nn::quantize_dequantize(x, std::make_unique<LearnedScale>(),
                                          std::make_unique<Doubled>(), "a");
    graph.set_outputs(
        {nn::quantize_dequantize(a, std::make_unique<Binary>(), make_min_max(), "b")});
    auto& scaled = *graph.node("a").as<QuantizeDequantize>();
    auto& binary = *graph.node("b").as<QuantizeDequantize>();
    binary.set_enabled(false);
    Executor executor(graph);
    const Tensor data = normal({4, 6}, 3), dy = normal({4, 6}, 4);
    Observers observers;
    observers.observe(graph.node("a"));
    {
      const auto observing = executor.observe(observers);
      executor.forward(data);
    }
    const auto parameters = quantizer_parameters(graph.node("a"));
    scaled.calibrate(observers.at(graph.node("a")), parameters);
    const auto [min, max] = std::ranges::minmax(data.data());
    CHECK(parameters[0]->value().item() ==
          doctest::Approx(std::max(2 * max / 7, -2 * min / 8)).epsilon(1e-6));

    parameters[0]->set_requires_grad(true);
    executor.forward(data, Mode::train);
    executor.backward(dy);
    const auto g = quantize_dequantize_backward(data.data(), dy.data(), data.shape(),
                                                scaled.encoding(parameters), {});
    CHECK(parameters[0]->grad().item() == doctest::Approx(g.scale[0]).epsilon(1e-5));

    binary.set_enabled(true);
    binary.set_initialized(true);
    const Tensor y = executor.forward(data, Mode::train);
    for (const float each : y.data()) CHECK(std::abs(each) == 1.0f);
    executor.backward(dy);
    CHECK(message_of([&] { scaled.check_savable(); }).find("learned_scale") != std::string::npos);
    CHECK(message_of([&] { binary.check_savable(); }).find("binary") != std::string::npos);
  }
}
