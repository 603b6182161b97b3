// Recurrent cells against loops in double that follow ONNX's equations.

#include <cmath>
#include <string>
#include <vector>

#include "rung/ops/recurrent.h"
#include "support/gradcheck.h"

namespace rung::test {
namespace {

constexpr std::int64_t kSteps = 3, kBatch = 2, kInputs = 4, kHidden = 5;

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

/// One direction of a cell.
struct Cell {
  const Tensor &weight, &recurrence, &bias;
  std::int64_t direction, gates;

  /// Row `gate` of the weights times x, plus its bias.
  double input(std::int64_t gate, std::int64_t j, const float* x) const {
    const std::int64_t row = (direction * gates + gate) * kHidden + j;
    double sum = bias.data()[(direction * 2 * gates + gate) * kHidden + j];
    for (std::int64_t i = 0; i < kInputs; ++i) sum += weight.data()[row * kInputs + i] * x[i];
    return sum;
  }
  double state(std::int64_t gate, std::int64_t j, const std::vector<double>& h) const {
    const std::int64_t row = (direction * gates + gate) * kHidden + j;
    double sum = bias.data()[(direction * 2 * gates + gates + gate) * kHidden + j];
    for (std::int64_t i = 0; i < kHidden; ++i) sum += recurrence.data()[row * kHidden + i] * h[i];
    return sum;
  }
};

struct Kind {
  std::string cell;
  std::int64_t gates;
  bool linear_before_reset = false, relu = false;
};

/// One step: h (and c) become those after it.
void step(const Kind& kind, const Cell& cell, const float* x, std::vector<double>& h,
          std::vector<double>& c) {
  const std::vector<double> before = h;
  std::vector<double> scaled = before;
  for (std::int64_t j = 0; j < kHidden; ++j)
    if (kind.cell == "GRU") scaled[j] *= sigmoid(cell.input(1, j, x) + cell.state(1, j, before));
  for (std::int64_t j = 0; j < kHidden; ++j) {
    const auto sum = [&](std::int64_t gate) {
      return cell.input(gate, j, x) + cell.state(gate, j, before);
    };
    if (kind.cell == "RNN") {
      h[j] = kind.relu ? std::max(sum(0), 0.0) : std::tanh(sum(0));
    } else if (kind.cell == "GRU") {
      const double z = sigmoid(sum(0)), r = sigmoid(sum(1));
      const double last =
          kind.linear_before_reset ? r * cell.state(2, j, before) : cell.state(2, j, scaled);
      h[j] = (1.0 - z) * std::tanh(cell.input(2, j, x) + last) + z * before[j];
    } else {
      c[j] = sigmoid(sum(2)) * c[j] + sigmoid(sum(0)) * std::tanh(sum(3));
      h[j] = sigmoid(sum(1)) * std::tanh(c[j]);
    }
  }
}

/// Operands: x, weight, recurrence, bias.
Tensor reference(const Kind& kind, const std::string& direction, const std::vector<Tensor>& in) {
  const std::int64_t directions = direction == "bidirectional" ? 2 : 1;
  Tensor y(Shape{kSteps, directions, kBatch, kHidden});
  for (std::int64_t d = 0; d < directions; ++d)
    for (std::int64_t n = 0; n < kBatch; ++n) {
      std::vector<double> h(kHidden, 0.0), c(kHidden, 0.0);
      for (std::int64_t k = 0; k < kSteps; ++k) {
        const bool reverse = d == 1 || direction == "reverse";
        const std::int64_t t = reverse ? kSteps - 1 - k : k;
        step(kind, {in[1], in[2], in[3], d, kind.gates},
             in[0].data().data() + (t * kBatch + n) * kInputs, h, c);
        for (std::int64_t j = 0; j < kHidden; ++j)
          y.data()[((t * directions + d) * kBatch + n) * kHidden + j] = static_cast<float>(h[j]);
      }
    }
  return y;
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"RNN", 1}, {"RNN", 1, false, true}, {"GRU", 3, false}, {"GRU", 3, true}, {"LSTM", 4}};
  return all;
}

}  // namespace

TEST_SUITE("ops recurrent") {
  TEST_CASE("recurrent cells follow their equations, in both directions") {
    for (const Kind& kind : kinds())
      for (const std::string direction : {"forward", "reverse", "bidirectional"}) {
        CAPTURE(kind.cell);
        CAPTURE(kind.linear_before_reset);
        CAPTURE(kind.relu);
        CAPTURE(direction);
        const std::int64_t directions = direction == "bidirectional" ? 2 : 1,
                           width = kind.gates * kHidden;
        const std::vector<Tensor> operands = {uniform({kSteps, kBatch, kInputs}, Rng(1)),
                                              uniform({directions, width, kInputs}, Rng(2)),
                                              uniform({directions, width, kHidden}, Rng(3)),
                                              uniform({directions, 2 * width}, Rng(4))};
        const Build build = [&](Graph& graph, const Operands& in) {
          const Var y = nn::recurrent(in[0],
                                      {.cell = kind.cell,
                                       .hidden_size = kHidden,
                                       .direction = direction,
                                       .linear_before_reset = kind.linear_before_reset,
                                       .relu = kind.relu},
                                      "op");
          for (const std::size_t i : {1u, 2u, 3u})
            graph.replace_input({y.value().producer(), i}, in[i].value());
          return y;
        };
        check_values(operands, build, reference(kind, direction, operands), 2e-6);
        gradcheck(operands, build, {.step = 1e-3, .tolerance = 5e-3});
      }
  }

  TEST_CASE("first states have gradients, too") {
    for (const Kind& kind : kinds()) {
      CAPTURE(kind.cell);
      CAPTURE(kind.linear_before_reset);
      std::vector<Tensor> operands = {uniform({kSteps, kBatch, kInputs}, Rng(1)),
                                      uniform({1, kBatch, kHidden}, Rng(5))};
      if (kind.cell == "LSTM") operands.push_back(uniform({1, kBatch, kHidden}, Rng(6)));
      const Build build = [&](Graph& graph, const Operands& in) {
        const auto constant = [&](const char* name, Shape shape) {
          return graph.parameter(name, uniform(shape, Rng(7).split(name)), Role::buffer);
        };
        const std::int64_t width = kind.gates * kHidden;
        const Var w = constant("w", {1, width, kInputs}), r = constant("r", {1, width, kHidden}),
                  b = constant("b", {1, 2 * width});
        if (kind.cell == "LSTM")
          return graph.add(make_op("LSTM"), {in[0], w, r, b, in[1], in[2]}, "op");
        const Var y = nn::recurrent(in[0],
                                    {.cell = kind.cell,
                                     .hidden_size = kHidden,
                                     .linear_before_reset = kind.linear_before_reset,
                                     .relu = kind.relu},
                                    "op");
        Node& node = *y.value().producer();
        for (const auto& [i, value] : {std::pair{1u, w}, {2u, r}, {3u, b}})
          graph.replace_input({&node, i}, value.value());
        graph.append_input(node, in[1].value());
        return y;
      };
      gradcheck(operands, build, {.step = 1e-3, .tolerance = 5e-3});
    }
  }

  TEST_CASE("cells and shapes that do not exist are refused") {
    Graph graph;
    const Var x = graph.input("x", {3, 1, 4});
    CHECK_THROWS_WITH_AS(nn::recurrent(x, {.cell = "MGU", .hidden_size = 2}, "op"),
                         doctest::Contains("there is no recurrent cell MGU"), Error);
    CHECK_THROWS_WITH_AS(
        nn::recurrent(x, {.hidden_size = 2, .direction = "sideways"}, "other"),
        doctest::Contains("direction must be forward, reverse or bidirectional, got sideways"),
        Error);
  }
}

}  // namespace rung::test
