#include <algorithm>
#include <string>

#include "rung/core/parallel.h"
#include "rung/ops/layers.h"
#include "support/gradcheck.h"

namespace rung::test {
namespace {

std::vector<float> to_vector(const Tensor& tensor) {
  return {tensor.data().begin(), tensor.data().end()};
}

Build dropout(float ratio) {
  return [=](Graph&, const Operands& in) { return nn::dropout(in[0], {.ratio = ratio}, "op"); };
}

}  // namespace

TEST_SUITE("ops shape") {
  TEST_CASE("flatten keeps the order of the elements, blocked or not") {
    for (const Shape& shape : std::vector<Shape>{{2, 3, 4, 5}, {2, 16, 1, 1}, {3, 17, 2, 1}}) {
      const Tensor x = uniform(shape, Rng(1));
      const Build build = [](Graph&, const Operands& in) { return nn::flatten(in[0], "op"); };
      check_values({x}, build, x.reshape({shape[0], shape.numel() / shape[0]}), 0.0);
      gradcheck({x}, build);
    }
  }

  TEST_CASE("reshape keeps extents at 0, infers -1, and goes back") {
    const Tensor x = uniform({2, 17, 2, 3}, Rng(2));
    const Build build = [](Graph&, const Operands& in) {
      return nn::reshape(in[0], {0, -1, 2}, "op");
    };
    check_values({x}, build, x.reshape({2, 51, 2}), 0.0);
    gradcheck({x}, build);
    const Build back = [](Graph& graph, const Operands& in) {
      const Var flat = nn::reshape(in[0], {-1, 102}, "flat");
      return identity_conv(graph, nn::reshape(flat, {-1, 17, 2, 3}, "op"), "after");
    };
    check_values({x}, back, x, 0.0);
    gradcheck({x}, back);
  }

  TEST_CASE("reshape works for any batch size and says why it cannot") {
    Graph graph;
    const Var x = graph.input("x", {1, 4, 2, 2});
    graph.set_outputs({nn::reshape(x, {0, -1}, "op")});
    Executor executor(graph);
    CHECK(executor.forward(Tensor(Shape{5, 4, 2, 2})).shape() == Shape{5, 16});
    CHECK_THROWS_WITH_AS(nn::reshape(x, {3, 5}, "bad"),
                         "[Reshape bad] cannot read [1, 4, 2, 2] as [3, 5]; write the batch axis "
                         "as 0 or -1 to fit any batch size",
                         Error);
    CHECK_THROWS_AS(nn::reshape(x, {-1, -1}, "bad"), Error);
    CHECK_THROWS_AS(nn::reshape(x, {-2, 8}, "bad"), Error);
    CHECK_THROWS_AS(nn::reshape(x, {1, 4, 2, 2, 0}, "bad"), Error);
  }

  TEST_CASE("dropout keeps the expected part, scaled, and is the identity in eval") {
    const Tensor x = Tensor::full({100, 1000}, 2.0f);
    CHECK(to_vector(evaluate({x}, dropout(0.25f))) == to_vector(x));
    const Tensor y = evaluate({x}, dropout(0.25f), setups()[0], Mode::train);
    const float kept = 2.0f * (1.0f / 0.75f);
    const auto zeros = std::count(y.data().begin(), y.data().end(), 0.0f);
    CHECK(zeros + std::count(y.data().begin(), y.data().end(), kept) == y.numel());
    CHECK(zeros == doctest::Approx(25000).epsilon(0.03));  // 5 standard deviations
  }

  TEST_CASE("dropout sends gradients where values went") {
    gradcheck({uniform({8, 33}, Rng(3))}, dropout(0.5f));
    gradcheck({uniform({2, 17, 3, 3}, Rng(4))}, dropout(0.5f));
    gradcheck({uniform({8, 33}, Rng(5))}, dropout(0.0f));
  }

  TEST_CASE("dropout draws anew in every step, but not by thread or layout") {
    const Tensor x = Tensor::full({4, 17, 40, 40}, 1.0f);
    std::vector<std::vector<float>> results;
    for (const Setup& setup : setups())
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        results.push_back(to_vector(evaluate({x}, dropout(0.5f), setup, Mode::train)));
        CHECK(results.back() == results.front());
      }
    set_thread_count(0);
    Graph graph = graph_of({x}, dropout(0.5f));
    Executor executor(graph);
    const auto first = to_vector(run(executor, Mode::train));
    CHECK(to_vector(run(executor, Mode::train)) != first);
  }

  TEST_CASE("every registered op can be made, names itself and is cloned") {
    const auto types = op_types();
    CHECK(types.size() > 90);
    CHECK(std::is_sorted(types.begin(), types.end()));
    for (const std::string_view type : types) {
      CAPTURE(std::string(type));
      const auto op = make_op(type);
      REQUIRE(op != nullptr);
      CHECK(op->type() == type);
      CHECK(op->clone()->type() == type);
    }
    CHECK(make_op("Convolution") == nullptr);
  }

  TEST_CASE("shapes that do not fit are refused with the node's name") {
    Graph graph;
    const Var a = graph.input("a", {1, 3, 4, 4}), b = graph.input("b", {1, 3, 4, 5});
    CHECK_THROWS_WITH_AS(nn::mul(a, b, "gate"),
                         "[Mul gate] inputs must have equal shapes, or extents of 1 that can be "
                         "repeated, got [1, 3, 4, 4] and [1, 3, 4, 5]",
                         Error);
    CHECK_THROWS_AS(nn::add(a, b, "sum"), Error);
    CHECK_THROWS_WITH_AS(nn::concat({a, b}, {}, "both"),
                         "[Concat both] inputs must agree in all but axis 1, got [1, 3, 4, 4] and "
                         "[1, 3, 4, 5]",
                         Error);
    CHECK_THROWS_AS(nn::concat({a, b}, {.axis = 4}, "both"), Error);
    CHECK_THROWS_AS(nn::softmax(a, {.axis = 4}, "probabilities"), Error);
    CHECK_THROWS_AS(nn::dropout(a, {.ratio = 1.0f}, "drop"), Error);
    CHECK_THROWS_AS(nn::clip(a, {.min = 1.0f, .max = 0.0f}, "clip"), Error);
    CHECK(graph.nodes().empty());
    graph.check();
  }
}

}  // namespace rung::test
