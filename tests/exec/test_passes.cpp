#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/team.h"
#include "exec/passes.h"
#include "exec/plan.h"
#include "rung/core/error.h"
#include "rung/quantsim/quantsim.h"
#include "support/random_graph.h"
#include "support/train_step.h"

// Numbers are the same without a pass, where there is one to leave out, and with its option off.

using namespace rung;

namespace {

/// What two forward passes, and in training their backward, leave behind.
struct Numbers {
  std::vector<Tensor> outputs, gradients;
};

Numbers run(Graph& graph, Mode mode, const ExecutorOptions& options,
            std::vector<std::string_view> without = {}) {
  const std::vector<std::string> watched = {"n5"};
  const Shape shape = graph.inputs()[0]->shape().with(0, 3);
  const Team team;
  Plan plan(graph, compile({graph, options, watched, without}, std::span(&shape, 1), mode), false);
  Tensor arena(Shape{plan.program().arena_bytes / 4});
  plan.bind(reinterpret_cast<std::byte*>(arena.data().data()));
  Numbers numbers;
  for (Parameter* parameter : graph.parameters()) parameter->zero_grad();
  for (const std::uint64_t seed : {7, 8}) {
    const Tensor x = noise(shape, seed);
    plan.forward(std::span(&x, 1), {});
    for (Tensor& output : plan.outputs()) numbers.outputs.push_back(std::move(output));
    numbers.outputs.push_back(plan.value("n5"));
    if (mode != Mode::train) continue;
    std::vector<Tensor> dy;
    for (const Tensor& output : plan.outputs()) dy.push_back(noise(output.shape(), 9));
    plan.backward(dy, {});
    if (const Tensor gradient = plan.gradient("n5"); gradient.defined())
      numbers.gradients.push_back(gradient);
  }
  for (Parameter* parameter : graph.parameters())
    if (parameter->has_grad()) numbers.gradients.push_back(parameter->grad().clone());
  return numbers;
}

/// Returns the largest difference, as a share of the largest number of its tensor.
double distance(const Numbers& a, const Numbers& b) {
  const auto of = [](const Tensor& x, const Tensor& y) {
    double largest = 1e-6;
    for (const float each : x.data()) largest = std::max(largest, double{std::abs(each)});
    return difference(x, y) / largest;
  };
  REQUIRE(a.outputs.size() == b.outputs.size());
  REQUIRE(a.gradients.size() == b.gradients.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < a.outputs.size(); ++i)
    largest = std::max(largest, of(a.outputs[i], b.outputs[i]));
  for (std::size_t i = 0; i < a.gradients.size(); ++i)
    largest = std::max(largest, of(a.gradients[i], b.gradients[i]));
  return largest;
}

Graph quantized(const Graph& graph) {
  QuantizationSimModel sim(graph,
                           {.quant_scheme = QuantScheme::training_range_learning_with_tf_init});
  sim.compute_encodings([](Executor& executor) {
    const Tensor x = noise(executor.graph().inputs()[0]->shape().with(0, 3), 5);
    (void)executor.forward(std::span(&x, 1));
  });
  return sim.graph().clone();
}

}  // namespace

TEST_SUITE("exec") {
  TEST_CASE("numbers do not depend on the passes that can be left out") {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      const Graph original = seed % 2 == 0 ? quantized(random_graph(seed)) : random_graph(seed);
      for (const Mode mode : {Mode::eval, Mode::train}) {
        CAPTURE(seed);
        CAPTURE(mode == Mode::train);
        const auto numbers = [&](const ExecutorOptions& options,
                                 std::vector<std::string_view> without = {}) {
          Graph graph = original.clone();  // batch norms move
          return run(graph, mode, options, std::move(without));
        };
        const Numbers all = numbers({});
        for (const std::string_view pass : {"derive", "overwrite", "pack"}) {
          CAPTURE(pass);
          CHECK(distance(all, numbers({}, {pass})) == 0);
        }
        CHECK(distance(all, numbers({.memory = MemoryPolicy::keep_all})) == 0);
        CHECK(distance(all, numbers({.fuse = false})) <= 1e-5);
        if (seed % 2 == 1)  // else sums in another order may move a number to the next code
          CHECK(distance(all, numbers({.layout = LayoutPolicy::plain})) <= 1e-4);
      }
    }
  }

  TEST_CASE("no two buffers that live at the same time share memory") {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      const Graph graph = random_graph(seed);
      const Shape shape{3, 4, 6, 6};
      const Program program =
          compile({graph, {}, {}, {}}, std::span(&shape, 1), seed % 2 ? Mode::train : Mode::eval);
      std::vector<const Buffer*> placed;
      for (const Buffer& buffer : program.buffers)
        if (buffer.storage == Storage::arena && buffer.alias < 0 && buffer.count > 0)
          placed.push_back(&buffer);
      for (const Buffer* a : placed) {
        CHECK(a->offset % 64 == 0);
        CHECK(a->offset + a->bytes() <= program.arena_bytes);
        for (const Buffer* b : placed) {
          const bool together = a->first <= b->last && b->first <= a->last;
          const bool apart =
              a->offset + a->bytes() <= b->offset || b->offset + b->bytes() <= a->offset;
          if (a != b && together) CHECK(apart);
        }
      }
    }
  }

  TEST_CASE("every stage of a program can be printed, and a pass that is none is refused") {
    const Graph graph = quantized(random_graph(2));
    const Shape shape{3, 4, 6, 6};
    std::string last;
    for (const Pass& pass : passes()) {
      CAPTURE(pass.name);
      const std::string text =
          to_string(compile({graph, {}, {}, {}}, std::span(&shape, 1), Mode::train, pass.name));
      CHECK(!text.empty());
      last = text;
    }
    CHECK(last.find("backward") != std::string::npos);
    CHECK_THROWS_WITH_AS(
        (void)compile({graph, {}, {}, {}}, std::span(&shape, 1), Mode::train, "fuse"),
        doctest::Contains("group"), Error);
  }
}
