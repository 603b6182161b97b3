#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "backend/onednn.h"
#include "kernels/dispatch.h"
#include "kernels/winograd/convolution.h"
#include "rung/core/parallel.h"
#include "rung/ops/layers.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/ops/tuning.h"
#include "support/gradcheck.h"
#include "support/reference.h"
#include "support/train_step.h"

// Winograd's convolution and its gradients against naive loops.

namespace rung::test {
namespace {

struct Case {
  std::int64_t batch, inputs, outputs, height, width, padding;
  bool bias;
  Shape x() const { return {batch, inputs, height, width}; }
  std::int64_t multiplications() const {
    return batch * inputs * outputs * 9 * (height + 2 * padding - 2) * (width + 2 * padding - 2);
  }
};

struct Results {
  Tensor y, dx, dw, db;
  std::string plan;
};

struct Operand {
  Tensor x, w, b, dy;
  explicit Operand(const Case& c)
      : x(uniform(c.x(), Rng(1))),
        w(uniform({c.outputs, c.inputs, 3, 3}, Rng(2))),
        b(uniform({c.outputs}, Rng(3))),
        dy(uniform({c.batch, c.outputs, c.height + 2 * c.padding - 2, c.width + 2 * c.padding - 2},
                   Rng(4))) {}
};

Results run(const Case& c, const Operand& in, ConvAlgorithm algorithm) {
  Graph graph;
  const Var x = graph.parameter("x", in.x, Role::weight),
            w = graph.parameter("w", in.w, Role::weight);
  auto op = std::make_unique<Conv>();
  op->padding_h = op->padding_w = c.padding;
  const Var y =
      c.bias ? graph.add(std::move(op), {x, w, graph.parameter("b", in.b, Role::bias)}, "conv")
             : graph.add(std::move(op), {x, w}, "conv");
  graph.set_outputs({y});
  Executor executor(graph, {.conv_algorithm = algorithm});
  Results r;
  r.y = executor.forward(std::span<const Tensor>{}, Mode::train)[0];
  executor.backward(in.dy);
  r.dx = graph.parameter("x").grad().clone();
  r.dw = graph.parameter("w").grad().clone();
  if (c.bias) r.db = graph.parameter("b").grad().clone();
  r.plan = to_string(executor.plan());
  return r;
}

// The naive loops, in double.
Results naive(const Case& c, const Operand& in) {
  using reference::at;
  Results r;
  r.y = reference::conv(in.x, in.w, c.bias ? &in.b : nullptr, {.padding = c.padding});
  std::vector<double> dx(in.x.data().size()), dw(in.w.data().size()), db(in.b.data().size());
  const std::int64_t oh = in.dy.size(2), ow = in.dy.size(3);
  for (std::int64_t n = 0; n < c.batch; ++n)
    for (std::int64_t o = 0; o < c.outputs; ++o)
      for (std::int64_t i = 0; i < oh; ++i)
        for (std::int64_t j = 0; j < ow; ++j) {
          const double g = at(in.dy, n, o, i, j);
          db[static_cast<std::size_t>(o)] += g;
          for (std::int64_t k = 0; k < c.inputs; ++k)
            for (std::int64_t u = 0; u < 3; ++u)
              for (std::int64_t v = 0; v < 3; ++v) {
                const std::int64_t row = i - c.padding + u, column = j - c.padding + v;
                if (row < 0 || row >= c.height || column < 0 || column >= c.width) continue;
                const auto pixel = static_cast<std::size_t>(
                    ((n * c.inputs + k) * c.height + row) * c.width + column);
                const auto tap = static_cast<std::size_t>(((o * c.inputs + k) * 3 + u) * 3 + v);
                dx[pixel] += g * in.w.data()[tap];
                dw[tap] += g * in.x.data()[pixel];
              }
        }
  const auto to_tensor = [](const Shape& shape, const std::vector<double>& values) {
    Tensor t(shape);
    std::ranges::transform(values, t.data().begin(),
                           [](double x) { return static_cast<float>(x); });
    return t;
  };
  r.dx = to_tensor(in.x.shape(), dx);
  r.dw = to_tensor(in.w.shape(), dw);
  if (c.bias) r.db = to_tensor(in.b.shape(), db);
  return r;
}

void check(const Case& c) {
  CAPTURE(c.batch);
  CAPTURE(c.inputs);
  CAPTURE(c.outputs);
  CAPTURE(c.height);
  CAPTURE(c.width);
  CAPTURE(c.padding);
  const Operand in(c);
  const Results got = run(c, in, ConvAlgorithm::winograd), expected = naive(c, in);
  CHECK((got.plan.find("winograd") != std::string::npos) == (c.inputs > 4));
  CHECK(difference(got.y, expected.y) <= 1e-4);
  CHECK(difference(got.dx, expected.dx) <= 1e-4);
  CHECK(difference(got.dw, expected.dw) <= 1e-4);
  if (c.bias) CHECK(difference(got.db, expected.db) <= 1e-5);
}

}  // namespace

TEST_SUITE("ops winograd") {
  TEST_CASE("Winograd's convolution follows the loops: every size and number of channels") {
    Rng rng(7);
    const auto between = [&](std::int64_t low, std::int64_t high) {
      return low + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(high - low + 1)));
    };
    std::vector<Case> cases;
    for (std::int64_t size = 1; size <= 33; ++size)  // every size once in each direction
      for (const bool tall : {false, true}) {
        const std::int64_t other = between(3, 9), padding = size < 3 ? 1 : between(0, 1);
        cases.push_back({between(1, 3), between(5, 20), between(1, 20), tall ? size : other,
                         tall ? other : size, padding, size % 2 == 0});
      }
    for (std::int64_t channels = 1; channels <= 130; channels += 3)  // each block and a rest
      cases.push_back(
          {1, channels, between(1, 40), between(3, 6), between(3, 6), between(0, 1), true});
    for (std::int64_t channels = 2; channels <= 130; channels += 3)
      cases.push_back(
          {1, between(5, 40), channels, between(3, 6), between(3, 6), between(0, 1), false});
    for (std::int64_t batch = 1; batch <= 5; ++batch)
      cases.push_back({batch, between(5, 60), between(1, 60), between(3, 12), between(3, 12),
                       between(0, 1), true});
    cases.push_back({2, 130, 130, 8, 7, 1, true});  // the larger ways to cut a pass
    cases.push_back({1, 272, 272, 5, 5, 1, false});
    cases.push_back({5, 16, 16, 33, 33, 1, false});  // several groups of tiles
    for (const Case& each : cases) check(each);
  }

  TEST_CASE("the same bits with any number of threads") {
    for (const Case& c : {Case{3, 16, 48, 21, 17, 1, true}, Case{4, 64, 64, 14, 14, 1, false},
                          Case{2, 272, 288, 9, 9, 0, true}}) {
      const Operand in(c);
      const int before = thread_count();
      set_thread_count(1);
      const Results one = run(c, in, ConvAlgorithm::winograd);
      set_thread_count(3);
      const Results three = run(c, in, ConvAlgorithm::winograd);
      set_thread_count(before);
      CHECK(std::ranges::equal(one.y.data(), three.y.data()));
      CHECK(std::ranges::equal(one.dx.data(), three.dx.data()));
      CHECK(std::ranges::equal(one.dw.data(), three.dw.data()));
      if (c.bias) CHECK(std::ranges::equal(one.db.data(), three.db.data()));
    }
  }

  TEST_CASE("gradients are those of the function") {
    const std::vector<Tensor> operands = {uniform({2, 6, 5, 6}, Rng(1)),
                                          uniform({7, 6, 3, 3}, Rng(2)), uniform({7}, Rng(3))};
    gradcheck(operands, [](Graph& graph, const Operands& in) {
      auto op = std::make_unique<Conv>();
      op->padding_h = op->padding_w = 1;
      return graph.add(std::move(op), {in[0], in[1], in[2]}, "op");
    });
  }

  TEST_CASE("Winograd's convolution adds, and applies relu") {
    Graph graph;
    const Var x = graph.input("x", {1, 24, 9, 10});
    const Var y = nn::conv2d(x, {.out_channels = 24, .kernel = 3, .padding = 1}, "conv");
    graph.set_outputs({nn::relu(nn::add(y, x, "add"), "relu")});
    for (Parameter* parameter : graph.parameters())
      parameter->edit() = uniform(parameter->shape(), Rng(5));
    const Tensor image = noise({3, 24, 9, 10}, 1);
    Executor direct(graph, {.conv_algorithm = ConvAlgorithm::direct}),
        winograd(graph, {.conv_algorithm = ConvAlgorithm::winograd});
    CHECK(difference(winograd.forward(image), direct.forward(image)) <= 1e-5);
    CHECK(to_string(winograd.plan()).find("winograd:") != std::string::npos);
    CHECK(to_string(winograd.plan()).find("+add+relu") != std::string::npos);
  }

  TEST_CASE("measured choices are remembered, and decide") {
    Graph graph;
    const Var x = graph.parameter("x", uniform({2, 16, 12, 12}, Rng(1)), Role::weight);
    graph.set_outputs(
        {nn::conv2d(x, {.out_channels = 24, .kernel = 3, .padding = 1, .bias = false}, "conv")});
    const auto plan_with = [&](const std::shared_ptr<ConvChoices>& choices) {
      Executor executor(graph, {.conv_choices = choices});
      (void)executor.forward(std::span<const Tensor>{}, Mode::train);
      return to_string(executor.plan());
    };
    const auto measured = std::make_shared<ConvChoices>();
    (void)plan_with(measured);
    REQUIRE(measured->all().size() == 3);  // forward and both gradients
    for (const ConvAlgorithm algorithm : {ConvAlgorithm::direct, ConvAlgorithm::winograd}) {
      const auto stored = std::make_shared<ConvChoices>(false);
      for (const auto& [key, choice] : measured->all()) stored->set(key, algorithm);
      const std::string plan = plan_with(stored);
      CHECK((plan.find("winograd") != std::string::npos) == (algorithm == ConvAlgorithm::winograd));
      CHECK(stored->all().size() == 3);
    }
    // Every mixture: what the passes prepare for each other must not depend on the choices.
    const auto gradients_with = [&](const std::shared_ptr<ConvChoices>& choices) {
      Executor executor(graph, {.conv_choices = choices});
      for (Parameter* parameter : graph.parameters()) parameter->zero_grad();
      const Tensor y = executor.forward(std::span<const Tensor>{}, Mode::train)[0];
      executor.backward(uniform(y.shape(), Rng(3)));
      return std::vector<Tensor>{y, graph.parameter("x").grad().clone(),
                                 graph.parameter("conv.weight").grad().clone()};
    };
    graph.parameter("conv.weight").edit() = uniform({24, 16, 3, 3}, Rng(2));
    std::vector<Tensor> expected;
    for (int bits = 0; bits < 8; ++bits) {
      CAPTURE(bits);
      const auto mixed = std::make_shared<ConvChoices>(false);
      int pass = 0;
      for (const auto& [key, choice] : measured->all())
        mixed->set(key,
                   (bits >> pass++ & 1) != 0 ? ConvAlgorithm::winograd : ConvAlgorithm::direct);
      const std::vector<Tensor> got = gradients_with(mixed);
      if (bits == 0) expected = got;
      for (std::size_t i = 0; i < got.size(); ++i) CHECK(difference(got[i], expected[i]) <= 1e-4);
    }
    const auto nothing = std::make_shared<ConvChoices>(false);
    CHECK(plan_with(nothing) == plan_with(nullptr));  // the rules
    CHECK(nothing->all().empty());
    CHECK_THROWS_AS(nothing->set("forward", ConvAlgorithm::automatic), Error);
  }

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
  // Accumulators that the compiler spills to memory cost a factor of two, which this notices.
  TEST_CASE("Winograd's kernels do more than a matrix product of as many multiplications could") {
    if (kernels::isa() == kernels::Isa::baseline) return;
    const kernels::winograd::Sizes sizes{.images = 4,
                                         .inputs = 64,
                                         .outputs = 64,
                                         .height = 28,
                                         .width = 28,
                                         .padding = 1,
                                         .format = backend::blocked_format()};
    const int before = thread_count();
    set_thread_count(1);
    const auto forward = kernels::winograd::cut_forward(sizes);
    const auto weights = kernels::winograd::cut_weights(sizes);
    const std::int64_t count = 4 * 64 * 28 * 28, n = 512;
    const Tensor x = uniform({count}, Rng(1)), w = uniform({64 * 64 * 9}, Rng(2)),
                 a = uniform({n * n}, Rng(3));
    Tensor y(Shape{count}), dw(Shape{64 * 64 * 9}), c(Shape{n * n}),
        scratch(Shape{std::max(forward.scratch, weights.scratch)});
    const auto seconds = [](const auto& body) {
      const auto begin = std::chrono::steady_clock::now();
      body();
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    double gemm = 1e9, forwards = 1e9, gradients = 1e9;
    for (int i = 0; i < 9; ++i) {  // in turn; the best of each
      gemm = std::min(gemm, seconds([&] {
                        backend::gemm(false, false, n, n, n, a.data().data(), a.data().data(),
                                      c.data().data());
                      }));
      forwards =
          std::min(forwards, seconds([&] {
                     kernels::winograd::forward(sizes, forward, x.data().data(), w.data().data(),
                                                false, {}, y.data().data(), scratch.data().data());
                   }));
      gradients = std::min(gradients, seconds([&] {
                             kernels::winograd::backward_weights(sizes, weights, x.data().data(),
                                                                 y.data().data(), dw.data().data(),
                                                                 scratch.data().data());
                           }));
    }
    set_thread_count(before);
    const double product = 2.0 * n * n * n / gemm, direct = 2.0 * count * 64 * 9;
    MESSAGE("forward ", direct / forwards / product, ", gradient of weights ",
            direct / gradients / product, " times the rate of a matrix product");
    CHECK(direct / forwards > 1.3 * product);
    CHECK(direct / gradients > 1.3 * product);
  }
#endif

  TEST_CASE("by itself a plan never runs Winograd where quantizers are evaluated") {
    Graph graph;
    const Var x = graph.input("x", {1, 32, 32, 32});
    graph.set_outputs(
        {nn::conv2d(x, {.out_channels = 32, .kernel = 3, .padding = 1, .bias = false}, "conv")});
    graph.parameter("conv.weight").edit() = uniform({32, 32, 3, 3}, Rng(1));
    const auto runs_winograd = [&](Mode mode) {
      Executor executor(graph);
      (void)executor.forward(noise({8, 32, 32, 32}, 1), mode);
      return to_string(executor.plan()).find("winograd") != std::string::npos;
    };
    const bool fast = runs_winograd(Mode::train);  // not with baseline kernels
    CHECK(runs_winograd(Mode::eval) == fast);
    auto op = std::make_unique<QuantizeDequantize>();
    op->set_enabled(false);
    const auto extra = add_quantizer_parameters(graph, op->quantizer(), "qdq");
    graph.insert_after(graph.value("conv"), std::move(op), extra, "qdq");
    CHECK(runs_winograd(Mode::train) == fast);
    CHECK_FALSE(runs_winograd(Mode::eval));
  }
}

}  // namespace rung::test
