// y = f(a, b) for every element, operands repeated as in Add: a row for each f, which says its
// value and its slopes along a and b.

#include <cmath>

#include "ops/elementwise/broadcast.h"
#include "ops/elementwise/families.h"
#include "rung/graph/graph.h"
#include "rung/ops/functions.h"

namespace rung {
namespace {

/// Half to each where both are equal, as PyTorch does.
float share_of_larger(float own, float other) {
  return own > other ? 1.0f : own == other ? 0.5f : 0.0f;
}

struct Max {
  static constexpr std::string_view kType = "Max";
  static float value(float a, float b) { return a > b || std::isnan(a) ? a : b; }
  static float slope_a(float a, float b) { return share_of_larger(a, b); }
  static float slope_b(float a, float b) { return share_of_larger(b, a); }
};
struct Min {
  static constexpr std::string_view kType = "Min";
  static float value(float a, float b) { return a < b || std::isnan(a) ? a : b; }
  static float slope_a(float a, float b) { return share_of_larger(b, a); }
  static float slope_b(float a, float b) { return share_of_larger(a, b); }
};
struct Pow {
  static constexpr std::string_view kType = "Pow";
  static float value(float a, float b) {
    return b == 2.0f ? a * a : b == 0.5f ? std::sqrt(a) : std::pow(a, b);
  }
  static float slope_a(float a, float b) {
    return b == 2.0f ? 2.0f * a : b == 0.0f ? 0.0f : b * std::pow(a, b - 1.0f);
  }
  static float slope_b(float a, float b) {
    return a == 0.0f && b >= 0.0f ? 0.0f : std::pow(a, b) * std::log(a);
  }
};

/// What is true or false does not change with a and b but at steps.
template <typename Function>
struct Truth {
  static constexpr Result kResult = Result::truth;
  static float value(float a, float b) { return Function::holds(a, b) ? 1.0f : 0.0f; }
  static float slope_a(float, float) { return 0.0f; }
  static float slope_b(float, float) { return 0.0f; }
};

struct And : Truth<And> {
  static constexpr std::string_view kType = "And";
  static bool holds(float a, float b) { return a != 0.0f && b != 0.0f; }
};
struct Equal : Truth<Equal> {
  static constexpr std::string_view kType = "Equal";
  static bool holds(float a, float b) { return a == b; }
};
struct Greater : Truth<Greater> {
  static constexpr std::string_view kType = "Greater";
  static bool holds(float a, float b) { return a > b; }
};
struct GreaterOrEqual : Truth<GreaterOrEqual> {
  static constexpr std::string_view kType = "GreaterOrEqual";
  static bool holds(float a, float b) { return a >= b; }
};
struct Less : Truth<Less> {
  static constexpr std::string_view kType = "Less";
  static bool holds(float a, float b) { return a < b; }
};
struct LessOrEqual : Truth<LessOrEqual> {
  static constexpr std::string_view kType = "LessOrEqual";
  static bool holds(float a, float b) { return a <= b; }
};
struct Or : Truth<Or> {
  static constexpr std::string_view kType = "Or";
  static bool holds(float a, float b) { return a != 0.0f || b != 0.0f; }
};
struct Xor : Truth<Xor> {
  static constexpr std::string_view kType = "Xor";
  static bool holds(float a, float b) { return (a != 0.0f) != (b != 0.0f); }
};

/// The op of a row.
template <typename Function>
struct Binary final : SimpleOp<Binary<Function>> {
  static constexpr std::string_view kType = Function::kType;
  static constexpr Layout kLayout = Layout::elementwise;  // f(0, 0) may be 1: padding is cleared

  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 2);
    return {broadcast_shape(inputs[0], inputs[1])};
  }
  Traits traits() const override {
    if constexpr (requires { Function::kResult; }) return {.result = Function::kResult};
    return {};
  }
  void forward(const Io& io) const {
    const View &a = io.input(0), &b = io.input(1);
    broadcast_of(a, b).map(a.data, b.data, io.output(0).data, Function::value);
  }
  void backward(const GradIo& io) const {
    const View &a = io.input(0), &b = io.input(1);
    const float* dy = io.output_grad(0).data;
    const Broadcast both = broadcast_of(a, b);
    if (io.wants(0))
      both.reduce<0>(dy, a.data, b.data, io.input_grad(0).data,
                     [](float d, float l, float r) { return d * Function::slope_a(l, r); });
    if (io.wants(1))
      both.reduce<1>(dy, a.data, b.data, io.input_grad(1).data,
                     [](float d, float l, float r) { return d * Function::slope_b(l, r); });
  }
};

template <typename... Functions>
std::vector<FamilyMember> rows() {
  return members<Binary<Functions>...>();
}

}  // namespace

const std::vector<FamilyMember>& binary_functions() {
  static const std::vector<FamilyMember> all =
      rows<And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Max, Min, Or, Pow, Xor>();
  return all;
}

Var nn::binary(Var a, Var b, std::string_view f, std::string_view name) {
  return a.graph().add(make_member(binary_functions(), f), {a, b}, name);
}

}  // namespace rung
