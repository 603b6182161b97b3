#include "rung/ops/layers.h"
#include "support/gradcheck.h"
#include "support/reference.h"

namespace rung::test {
namespace {

// Channels below, at and above the block sizes; odd images.
const std::vector<Shape> kShapes = {{2, 1, 5, 7},  {3, 3, 4, 4},  {1, 8, 3, 5},
                                    {2, 16, 1, 3}, {2, 17, 3, 3}, {1, 24, 5, 2}};

}  // namespace

TEST_SUITE("ops elementwise") {
  TEST_CASE("relu is max(x, 0) with gradient 0 below") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      const Tensor x = away_from_zero(shape, Rng(1));
      const Build build = [](Graph&, const Operands& in) { return nn::relu(in[0], "op"); };
      check_values({x}, build, reference::relu(x));
      gradcheck({x}, build);
    }
  }

  TEST_CASE("clip and relu6 cut at both ends, padded channels notwithstanding") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      Tensor x = away_from_zero(shape, Rng(2));
      const Build relu6 = [](Graph&, const Operands& in) { return nn::relu6(in[0], "op"); };
      gradcheck({x}, relu6);
      for (float& value : x.data()) value *= 9.0f;
      check_values({x}, relu6, reference::clip(x, 0.0f, 6.0f));
      // Zero is outside of this range: the padding of blocked memory has to be cleared again.
      const Build band = [](Graph& graph, const Operands& in) {
        return identity_conv(graph, nn::clip(in[0], {.min = 0.5f, .max = 2.0f}, "op"), "after");
      };
      check_values({x}, band, reference::clip(x, 0.5f, 2.0f));
    }
  }

  TEST_CASE("relu6 has gradient 0 exactly at its ends, as in PyTorch") {
    const Tensor x(Shape{5}, {-1.0f, 0.0f, 3.0f, 6.0f, 7.0f});
    Graph graph = graph_of({x}, [](Graph&, const Operands& in) { return nn::relu6(in[0], "op"); });
    Executor executor(graph);
    run(executor, Mode::train);
    executor.backward(Tensor::full(Shape{5}, 1.0f));
    const std::vector<float> expected = {0, 0, 1, 0, 0};
    const Tensor gradient = graph.parameter("operand0").grad();
    CHECK(std::equal(expected.begin(), expected.end(), gradient.data().begin()));
  }

  TEST_CASE("leaky_relu scales negative values by alpha") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      const Tensor x = away_from_zero(shape, Rng(3));
      const Build build = [](Graph&, const Operands& in) {
        return nn::leaky_relu(in[0], {.alpha = 0.2f}, "op");
      };
      check_values({x}, build, reference::leaky_relu(x, 0.2f));
      gradcheck({x}, build);
    }
  }

  TEST_CASE("sigmoid is 1 / (1 + exp(-x)) and leaves zeros in padded channels") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      const Tensor x = uniform(shape, Rng(4), -4.0, 4.0);
      const Build build = [](Graph& graph, const Operands& in) {
        return identity_conv(graph, nn::sigmoid(in[0], "op"), "after");
      };
      check_values({x}, build, reference::sigmoid(x));
      gradcheck({x}, build);
    }
  }

  TEST_CASE("sigmoid of huge values is 0 and 1") {
    const Tensor x(Shape{2}, {-200.0f, 200.0f});
    const Tensor y =
        evaluate({x}, [](Graph&, const Operands& in) { return nn::sigmoid(in[0], "op"); });
    CHECK(y.data()[0] == 0.0f);
    CHECK(y.data()[1] == 1.0f);
  }

  TEST_CASE("add and mul work element by element") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      const Tensor a = uniform(shape, Rng(5)), b = uniform(shape, Rng(6));
      const Build add = [](Graph&, const Operands& in) { return nn::add(in[0], in[1], "op"); };
      check_values({a, b}, add, reference::add(a, b));
      gradcheck({a, b}, add);
      const Build mul = [](Graph&, const Operands& in) { return nn::mul(in[0], in[1], "op"); };
      check_values({a, b}, mul, reference::mul(a, b));
      gradcheck({a, b}, mul);
    }
  }

  TEST_CASE("add followed by relu gives both operands the same gradient") {
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.to_string());
      const Tensor a = away_from_zero(shape, Rng(7), 1.0), b = uniform(shape, Rng(8), -0.5, 0.5);
      const Build build = [](Graph&, const Operands& in) {
        return nn::relu(nn::add(in[0], in[1], "add"), "op");
      };
      check_values({a, b}, build, reference::relu(reference::add(a, b)));
      gradcheck({a, b}, build);
    }
  }

  TEST_CASE("an operand used twice gets the sum of its gradients") {
    const Tensor x = uniform({2, 17, 3, 3}, Rng(9));
    gradcheck({x}, [](Graph&, const Operands& in) { return nn::mul(in[0], in[0], "op"); });
    gradcheck({x}, [](Graph&, const Operands& in) { return nn::add(in[0], in[0], "op"); });
    gradcheck({x}, [](Graph&, const Operands& in) {
      return nn::mul(nn::add(in[0], in[0], "add"), nn::sigmoid(in[0], "gate"), "op");
    });
  }

  TEST_CASE("operands of different formats meet") {
    const Tensor a = uniform({2, 17, 3, 3}, Rng(10)), b = uniform({2, 17, 3, 3}, Rng(11));
    const Build build = [](Graph& graph, const Operands& in) {
      return nn::mul(identity_conv(graph, in[0], "only_a"), in[1], "op");
    };
    check_values({a, b}, build, reference::mul(a, b));
    gradcheck({a, b}, build);
  }

  TEST_CASE("softmax sums to one along its axis and does not overflow") {
    Tensor x = uniform({4, 10}, Rng(12), -3.0, 3.0);
    const Build last = [](Graph&, const Operands& in) { return nn::softmax(in[0], {}, "op"); };
    check_values({x}, last, reference::softmax(x, 10, 1));
    gradcheck({x}, last);
    for (float& value : x.data()) value += 500.0f;
    check_values({x}, last, reference::softmax(x, 10, 1));
    const Tensor images = uniform({2, 17, 3, 5}, Rng(13));
    const Build channels = [](Graph&, const Operands& in) {
      return nn::softmax(in[0], {.axis = 1}, "op");
    };
    check_values({images}, channels, reference::softmax(images, 17, 15));
    gradcheck({images}, channels);
  }

  TEST_CASE("concat lays channels behind each other, whole blocks or not") {
    for (const auto& channels :
         std::vector<std::vector<std::int64_t>>{{16, 32}, {8, 8}, {3, 17, 1}, {16, 8}, {5}}) {
      std::vector<Tensor> inputs;
      for (std::size_t i = 0; i < channels.size(); ++i)
        inputs.push_back(uniform({2, channels[i], 3, 5}, Rng(14).split(i)));
      const Build build = [](Graph&, const Operands& in) { return nn::concat(in, {}, "op"); };
      check_values(inputs, build, reference::concat(inputs), 0.0);
      gradcheck(inputs, build);
    }
  }

  TEST_CASE("concat works along any axis") {
    const Tensor a = uniform({2, 3}, Rng(15)), b = uniform({4, 3}, Rng(16));
    const Build build = [](Graph&, const Operands& in) {
      return nn::concat(in, {.axis = -2}, "op");
    };
    Tensor expected(Shape{6, 3});
    std::copy(a.data().begin(), a.data().end(), expected.data().begin());
    std::copy(b.data().begin(), b.data().end(), expected.data().begin() + 6);
    check_values({a, b}, build, expected, 0.0);
    gradcheck({a, b}, build);
  }
}

}  // namespace rung::test
