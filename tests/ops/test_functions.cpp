// Families of functions: every row against its formula in double, and against differences.

#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <string>
#include <vector>

#include "ops/elementwise/families.h"
#include "rung/ops/functions.h"
#include "support/gradcheck.h"

namespace rung::test {
namespace {

const std::vector<Shape> kShapes = {{2, 17, 3, 3}, {1, 8, 3, 5}, {3, 7}, {}};

struct UnaryCase {
  std::function<double(double)> formula;
  double low = -2.0, high = 2.0;  ///< where it is tried; kinks and poles are avoided
};

double softplus(double x) { return std::log1p(std::exp(x)); }

const std::map<std::string, UnaryCase, std::less<>>& unary_cases() {
  static const std::map<std::string, UnaryCase, std::less<>> all = {
      {"Abs", {[](double x) { return std::abs(x); }}},
      {"Acos", {[](double x) { return std::acos(x); }, -0.8, 0.8}},
      {"Acosh", {[](double x) { return std::acosh(x); }, 1.5, 3.0}},
      {"Asin", {[](double x) { return std::asin(x); }, -0.8, 0.8}},
      {"Asinh", {[](double x) { return std::asinh(x); }}},
      {"Atan", {[](double x) { return std::atan(x); }}},
      {"Atanh", {[](double x) { return std::atanh(x); }, -0.8, 0.8}},
      {"Ceil", {[](double x) { return std::ceil(x); }}},
      {"Celu", {[](double x) { return x > 0.0 ? x : std::expm1(x); }}},
      {"Cos", {[](double x) { return std::cos(x); }}},
      {"Cosh", {[](double x) { return std::cosh(x); }}},
      {"Erf", {[](double x) { return std::erf(x); }}},
      {"Exp", {[](double x) { return std::exp(x); }}},
      {"Floor", {[](double x) { return std::floor(x); }}},
      {"Gelu", {[](double x) { return x * 0.5 * (1.0 + std::erf(x / std::numbers::sqrt2)); }}},
      {"IsInf", {[](double) { return 0.0; }}},
      {"IsNaN", {[](double) { return 0.0; }}},
      {"Log", {[](double x) { return std::log(x); }, 0.5, 3.0}},
      {"Mish", {[](double x) { return x * std::tanh(softplus(x)); }}},
      {"Neg", {[](double x) { return -x; }}},
      {"Not", {[](double x) { return x == 0.0 ? 1.0 : 0.0; }}},
      {"Reciprocal", {[](double x) { return 1.0 / x; }, 0.5, 3.0}},
      {"Round", {[](double x) { return std::nearbyint(x); }}},
      {"Selu", {[](double x) {
         return 1.0507009873554805 * (x > 0.0 ? x : 1.6732632423543772 * std::expm1(x));
       }}},
      {"Sign", {[](double x) { return static_cast<double>((x > 0.0) - (x < 0.0)); }}},
      {"Sin", {[](double x) { return std::sin(x); }}},
      {"Sinh", {[](double x) { return std::sinh(x); }}},
      {"Softplus", {softplus}},
      {"Softsign", {[](double x) { return x / (1.0 + std::abs(x)); }}},
      {"Sqrt", {[](double x) { return std::sqrt(x); }, 0.5, 3.0}},
      {"Tan", {[](double x) { return std::tan(x); }, -1.0, 1.0}},
      {"ThresholdedRelu", {[](double x) { return x > 1.0 ? x : 0.0; }}}};
  return all;
}

/// Away from multiples of a half, where functions have their kinks and steps.
Tensor away_from_halves(const Shape& shape, Rng rng, double low, double high) {
  Tensor x = uniform(shape, rng, low, high);
  for (float& v : x.data()) {
    const float nearest = std::nearbyint(v * 2.0f) / 2.0f;
    if (std::abs(v - nearest) < 0.05f) v = nearest + (v < nearest ? -0.05f : 0.05f);
  }
  return x;
}

struct BinaryCase {
  std::function<double(double, double)> formula;
  bool is_truth = true;
};

const std::map<std::string, BinaryCase, std::less<>>& binary_cases() {
  static const std::map<std::string, BinaryCase, std::less<>> all = {
      {"And", {[](double a, double b) { return a != 0.0 && b != 0.0; }}},
      {"Equal", {[](double a, double b) { return a == b; }}},
      {"Greater", {[](double a, double b) { return a > b; }}},
      {"GreaterOrEqual", {[](double a, double b) { return a >= b; }}},
      {"Less", {[](double a, double b) { return a < b; }}},
      {"LessOrEqual", {[](double a, double b) { return a <= b; }}},
      {"Max", {[](double a, double b) { return std::max(a, b); }, false}},
      {"Min", {[](double a, double b) { return std::min(a, b); }, false}},
      {"Or", {[](double a, double b) { return a != 0.0 || b != 0.0; }}},
      {"Pow", {[](double a, double b) { return std::pow(a, b); }, false}},
      {"Xor", {[](double a, double b) { return (a != 0.0) != (b != 0.0); }}}};
  return all;
}

/// Where the element of a repeated operand stands.
std::int64_t place_in(const Shape& x, const Shape& y, std::int64_t i) {
  std::int64_t at = 0, step = 1;
  for (std::int64_t axis = 1; axis <= y.rank(); ++axis) {
    const std::int64_t index = i % y[y.rank() - axis];
    i /= y[y.rank() - axis];
    if (axis > x.rank()) continue;
    if (x[x.rank() - axis] != 1) at += index * step;
    step *= x[x.rank() - axis];
  }
  return at;
}

using Values = std::vector<double>;
const std::map<std::string, std::function<double(const Values&)>, std::less<>>& reduce_cases() {
  static const auto sum = [](const Values& values, const auto& f) {
    double total = 0.0;
    for (const double v : values) total += f(v);
    return total;
  };
  static const std::map<std::string, std::function<double(const Values&)>, std::less<>> all = {
      {"ReduceL1", [](const Values& v) { return sum(v, [](double x) { return std::abs(x); }); }},
      {"ReduceL2",
       [](const Values& v) { return std::sqrt(sum(v, [](double x) { return x * x; })); }},
      {"ReduceLogSum",
       [](const Values& v) { return std::log(sum(v, [](double x) { return x; })); }},
      {"ReduceLogSumExp",
       [](const Values& v) { return std::log(sum(v, [](double x) { return std::exp(x); })); }},
      {"ReduceMax", [](const Values& v) { return *std::max_element(v.begin(), v.end()); }},
      {"ReduceMin", [](const Values& v) { return *std::min_element(v.begin(), v.end()); }},
      {"ReduceProd",
       [](const Values& v) {
         double product = 1.0;
         for (const double x : v) product *= x;
         return product;
       }},
      {"ReduceSum", [](const Values& v) { return sum(v, [](double x) { return x; }); }},
      {"ReduceSumSquare", [](const Values& v) { return sum(v, [](double x) { return x * x; }); }}};
  return all;
}

/// Reduces axes 1 and 3 of [A, B, C, D] to [A, C].
Tensor reduced(const Tensor& x, const std::function<double(const Values&)>& formula) {
  Tensor y(Shape{x.size(0), x.size(2)});
  for (std::int64_t a = 0; a < x.size(0); ++a)
    for (std::int64_t c = 0; c < x.size(2); ++c) {
      Values values;
      for (std::int64_t b = 0; b < x.size(1); ++b)
        for (std::int64_t d = 0; d < x.size(3); ++d)
          values.push_back(x.data()[((a * x.size(1) + b) * x.size(2) + c) * x.size(3) + d]);
      y.data()[a * x.size(2) + c] = static_cast<float>(formula(values));
    }
  return y;
}

}  // namespace

TEST_SUITE("ops functions") {
  TEST_CASE("functions of one tensor are their formulas") {
    for (const FamilyMember& member : unary_functions()) {
      const std::string type(member.type);
      CAPTURE(type);
      REQUIRE(unary_cases().contains(type));
      const UnaryCase& each = unary_cases().at(type);
      for (const Shape& shape : kShapes) {
        CAPTURE(shape.to_string());
        const Tensor x = away_from_halves(shape, Rng(1), each.low, each.high);
        Tensor expected(shape);
        for (std::int64_t i = 0; i < x.numel(); ++i)
          expected.data()[i] = static_cast<float>(each.formula(x.data()[i]));
        // A convolution behind it sees whether padded channels are zero.
        const Build build = [&](Graph& graph, const Operands& in) {
          const Var y = nn::unary(in[0], type, "op");
          return shape.rank() == 4 ? identity_conv(graph, y, "after") : y;
        };
        check_values({x}, build, expected, 2e-6);
        gradcheck({x}, build, {.step = 5e-3, .tolerance = 2e-3});
      }
    }
  }

  TEST_CASE("what is not finite stays what it is") {
    const Tensor x(Shape{4}, {-INFINITY, -200.0f, NAN, INFINITY});
    const auto of = [&](const char* type) {
      return evaluate({x},
                      [&](Graph&, const Operands& in) { return nn::unary(in[0], type, "op"); });
    };
    CHECK(of("IsInf").data()[0] == 1.0f);
    CHECK(of("IsInf").data()[2] == 0.0f);
    CHECK(of("IsNaN").data()[2] == 1.0f);
    CHECK(of("Softplus").data()[1] == 0.0f);
    CHECK(of("Softplus").data()[3] == INFINITY);
    CHECK(std::isnan(of("Sign").data()[2]));
    CHECK(std::isnan(of("Mish").data()[2]));
    CHECK(of("Mish").data()[3] == INFINITY);
    Graph graph;
    CHECK_THROWS_WITH_AS(nn::unary(graph.input("x", {1}), "Exponential", "op"),
                         doctest::Contains("there is no function Exponential"), Error);
  }

  TEST_CASE("functions of two tensors are their formulas, operands repeated") {
    const std::vector<std::array<Shape, 3>> shapes = {
        {{{2, 17, 3, 2}, {2, 17, 3, 2}, {2, 17, 3, 2}}},
        {{{2, 3, 4, 5}, {3, 1, 1}, {2, 3, 4, 5}}},
        {{{4, 1, 3}, {2, 1}, {4, 2, 3}}},
        {{{}, {2, 3}, {2, 3}}}};
    for (const FamilyMember& member : binary_functions()) {
      const std::string type(member.type);
      CAPTURE(type);
      REQUIRE(binary_cases().contains(type));
      const BinaryCase& each = binary_cases().at(type);
      for (const auto& [sa, sb, sy] : shapes) {
        CAPTURE(sa.to_string());
        Tensor a = uniform(sa, Rng(2), 0.3, 2.0), b = uniform(sb, Rng(3), 0.3, 2.0);
        if (each.is_truth)  // some equal, some zero
          for (Tensor* x : {&a, &b})
            for (float& v : x->data()) v = std::floor(v * 1.5f);
        Tensor expected(sy);
        for (std::int64_t i = 0; i < expected.numel(); ++i)
          expected.data()[i] = static_cast<float>(
              each.formula(a.data()[place_in(sa, sy, i)], b.data()[place_in(sb, sy, i)]));
        const Build build = [&](Graph&, const Operands& in) {
          return nn::binary(in[0], in[1], type, "op");
        };
        check_values({a, b}, build, expected, 2e-6);
        if (!each.is_truth) gradcheck({a, b}, build, {.step = 1e-3, .tolerance = 5e-3});
      }
    }
  }

  TEST_CASE("equal maxima share the gradient; powers of zero have one") {
    const Build largest = [](Graph&, const Operands& in) {
      return nn::binary(in[0], in[1], "Max", "op");
    };
    Graph graph = graph_of({Tensor(Shape{2}, {1, 2}), Tensor(Shape{2}, {1, 3})}, largest);
    Executor executor(graph);
    run(executor, Mode::train);
    executor.backward(Tensor::full(Shape{2}, 1.0f));
    CHECK(graph.parameter("operand0").grad().data()[0] == 0.5f);
    CHECK(graph.parameter("operand0").grad().data()[1] == 0.0f);
    const Tensor zero(Shape{2}, {0, -2}), two = Tensor::full({}, 2.0f);
    gradcheck({zero}, [&](Graph& g, const Operands& in) {
      return nn::binary(in[0], g.parameter("two", two, Role::buffer), "Pow", "op");
    });
  }

  TEST_CASE("where takes from two tensors, and gives gradients to what was taken") {
    const Tensor condition(Shape{3, 1}, {1, 0, 2});
    const Tensor a = uniform({2, 3, 4}, Rng(4)), b = uniform({4}, Rng(5));
    const Build build = [&](Graph& graph, const Operands& in) {
      return nn::where(graph.parameter("condition", condition, Role::buffer), in[0], in[1], "op");
    };
    Tensor expected = a.clone();
    for (const std::int64_t n : {0, 1})
      for (std::int64_t i = 0; i < 4; ++i) expected.data()[(n * 3 + 1) * 4 + i] = b.data()[i];
    check_values({a, b}, build, expected, 0.0);
    gradcheck({a, b}, build);
  }

  TEST_CASE("reductions are their formulas") {
    for (const FamilyMember& member : reductions()) {
      const std::string type(member.type);
      CAPTURE(type);
      REQUIRE(reduce_cases().contains(type));
      Tensor x = distinct({2, 3, 4, 2}, Rng(6), 0.02);
      for (float& v : x.data()) v += 1.0f;  // also for logarithms
      const Build build = [&](Graph&, const Operands& in) {
        return nn::reduce(in[0], type, {.axes = {1, -1}}, "op");
      };
      check_values({x}, build, reduced(x, reduce_cases().at(type)), 2e-6);
      gradcheck({x}, build, {.step = 2e-3, .tolerance = 5e-3});
      const Build kept = [&](Graph&, const Operands& in) {
        return nn::reduce(in[0], type, {.keepdims = true}, "op");
      };
      CHECK(evaluate({x}, kept).shape() == Shape{1, 1, 1, 1});
      gradcheck({x}, kept, {.step = 2e-3, .tolerance = 5e-3});
    }
  }

  TEST_CASE("a product with a zero has the gradient of the others; equal maxima share it") {
    const auto gradients = [](const char* type, const std::vector<float>& values) {
      const Tensor x(Shape{static_cast<std::int64_t>(values.size())}, values);
      Graph graph = graph_of(
          {x}, [&](Graph&, const Operands& in) { return nn::reduce(in[0], type, {}, "op"); });
      Executor executor(graph);
      run(executor, Mode::train);
      executor.backward(Tensor::scalar(1.0f));
      const Tensor grad = graph.parameter("operand0").grad();
      return std::vector<float>(grad.data().begin(), grad.data().end());
    };
    CHECK(gradients("ReduceProd", {2, 0, 3}) == std::vector<float>{0, 6, 0});
    CHECK(gradients("ReduceProd", {2, 0, 0}) == std::vector<float>{0, 0, 0});
    CHECK(gradients("ReduceMax", {2, 5, 5, 1}) == std::vector<float>{0, 0.5f, 0.5f, 0});
    CHECK(gradients("ReduceL2", {0, 0}) == std::vector<float>{0, 0});
  }

  TEST_CASE("the logarithm of a sum of powers does not overflow") {
    const Tensor x(Shape{3}, {1000.0f, -INFINITY, 1000.0f});
    const Tensor y = evaluate({x}, [](Graph&, const Operands& in) {
      return nn::reduce(in[0], "ReduceLogSumExp", {}, "op");
    });
    CHECK(y.data()[0] == doctest::Approx(1000.0 + std::log(2.0)));
  }
}

}  // namespace rung::test
