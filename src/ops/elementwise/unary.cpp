// y = f(x) for every element: a row for each f, which says its value and its slope at x.

#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include "ops/elementwise/elementwise.h"
#include "ops/elementwise/families.h"
#include "rung/graph/graph.h"
#include "rung/ops/functions.h"

namespace rung {
namespace {

constexpr float kSqrt2 = std::numbers::sqrt2_v<float>;

float logistic(float x) { return 1.0f / (1.0f + std::exp(-x)); }
/// log(1 + exp(x)) without an overflow.
float softplus(float x) { return std::fmax(x, 0.0f) + std::log1p(std::exp(-std::abs(x))); }
float sign(float x) { return static_cast<float>((x > 0.0f) - (x < 0.0f)); }

// ---- rows whose slope is finite at 0, where they are 0: padded channels stay zero by themselves

struct Abs {
  static constexpr std::string_view kType = "Abs";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::abs(x); }
  float slope(float x) const { return sign(x); }
};
struct Asin {
  static constexpr std::string_view kType = "Asin";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::asin(x); }
  float slope(float x) const { return 1.0f / std::sqrt(1.0f - x * x); }
};
struct Asinh {
  static constexpr std::string_view kType = "Asinh";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::asinh(x); }
  float slope(float x) const { return 1.0f / std::sqrt(x * x + 1.0f); }
};
struct Atan {
  static constexpr std::string_view kType = "Atan";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::atan(x); }
  float slope(float x) const { return 1.0f / (x * x + 1.0f); }
};
struct Atanh {
  static constexpr std::string_view kType = "Atanh";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::atanh(x); }
  float slope(float x) const { return 1.0f / (1.0f - x * x); }
};
struct Ceil {
  static constexpr std::string_view kType = "Ceil";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::ceil(x); }
  float slope(float) const { return 0.0f; }
};
/// Barron 2017, as ONNX has it: alpha (exp(x / alpha) - 1) below zero.
struct Celu {
  static constexpr std::string_view kType = "Celu";
  static constexpr bool kKeepsZero = true;
  float alpha = 1.0f;
  void visit(AttributeVisitor& visitor) { visitor("alpha", alpha); }
  float value(float x) const { return x > 0.0f ? x : alpha * std::expm1(x / alpha); }
  float slope(float x) const { return x > 0.0f ? 1.0f : std::exp(x / alpha); }
};
struct Erf {
  static constexpr std::string_view kType = "Erf";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::erf(x); }
  float slope(float x) const { return 2.0f * std::numbers::inv_sqrtpi_v<float> * std::exp(-x * x); }
};
struct Floor {
  static constexpr std::string_view kType = "Floor";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::floor(x); }
  float slope(float) const { return 0.0f; }
};
/// x * Phi(x), or its approximation by tanh (Hendrycks and Gimpel 2016).
struct Gelu {
  static constexpr std::string_view kType = "Gelu";
  static constexpr bool kKeepsZero = true;
  bool by_tanh = false;
  void visit(AttributeVisitor& visitor) {
    std::string approximate = by_tanh ? "tanh" : "none";
    visitor("approximate", approximate);
    by_tanh = approximate == "tanh";
    require(by_tanh || approximate == "none", "approximate must be none or tanh, got {}",
            approximate);
  }
  static constexpr float kCube = 0.044715f;
  static float inner(float x) {
    return std::sqrt(2.0f / std::numbers::pi_v<float>) * x * (1.0f + kCube * x * x);
  }
  float value(float x) const {
    if (by_tanh) return 0.5f * x * (1.0f + std::tanh(inner(x)));
    return 0.5f * x * (1.0f + std::erf(x / kSqrt2));
  }
  float slope(float x) const {
    if (by_tanh) {
      const float t = std::tanh(inner(x));
      const float grows =
          std::sqrt(2.0f / std::numbers::pi_v<float>) * (1.0f + 3.0f * kCube * x * x);
      return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * grows;
    }
    constexpr float kDensity = std::numbers::inv_sqrtpi_v<float> / kSqrt2;
    return 0.5f * (1.0f + std::erf(x / kSqrt2)) + x * kDensity * std::exp(-0.5f * x * x);
  }
};
struct IsInf {
  static constexpr std::string_view kType = "IsInf";
  static constexpr Result kResult = Result::truth;
  static constexpr bool kKeepsZero = true;
  std::int64_t detect_negative = 1, detect_positive = 1;
  void visit(AttributeVisitor& visitor) {
    visitor("detect_negative", detect_negative);
    visitor("detect_positive", detect_positive);
  }
  float value(float x) const {
    return std::isinf(x) && (x > 0.0f ? detect_positive : detect_negative) != 0 ? 1.0f : 0.0f;
  }
  float slope(float) const { return 0.0f; }
};
struct IsNaN {
  static constexpr std::string_view kType = "IsNaN";
  static constexpr Result kResult = Result::truth;
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::isnan(x) ? 1.0f : 0.0f; }
  float slope(float) const { return 0.0f; }
};
/// x * tanh(softplus(x)) (Misra 2019).
struct Mish {
  static constexpr std::string_view kType = "Mish";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return x * std::tanh(softplus(x)); }
  float slope(float x) const {
    const float t = std::tanh(softplus(x));
    return t + x * (1.0f - t * t) * logistic(x);
  }
};
struct Neg {
  static constexpr std::string_view kType = "Neg";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return -x; }
  float slope(float) const { return -1.0f; }
};
/// Halves go to the even number.
struct Round {
  static constexpr std::string_view kType = "Round";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::nearbyint(x); }
  float slope(float) const { return 0.0f; }
};
/// gamma x, or gamma alpha (exp(x) - 1) below zero (Klambauer et al. 2017).
struct Selu {
  static constexpr std::string_view kType = "Selu";
  static constexpr bool kKeepsZero = true;
  float alpha = 1.67326319217681884765625f, gamma = 1.05070102214813232421875f;
  void visit(AttributeVisitor& visitor) {
    visitor("alpha", alpha);
    visitor("gamma", gamma);
  }
  float value(float x) const { return gamma * (x > 0.0f ? x : alpha * std::expm1(x)); }
  float slope(float x) const { return gamma * (x > 0.0f ? 1.0f : alpha * std::exp(x)); }
};
struct Sign {
  static constexpr std::string_view kType = "Sign";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::isnan(x) ? x : sign(x); }
  float slope(float) const { return 0.0f; }
};
struct Sin {
  static constexpr std::string_view kType = "Sin";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::sin(x); }
  float slope(float x) const { return std::cos(x); }
};
struct Sinh {
  static constexpr std::string_view kType = "Sinh";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::sinh(x); }
  float slope(float x) const { return std::cosh(x); }
};
struct Softsign {
  static constexpr std::string_view kType = "Softsign";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return x / (1.0f + std::abs(x)); }
  float slope(float x) const { return 1.0f / ((1.0f + std::abs(x)) * (1.0f + std::abs(x))); }
};
struct Tan {
  static constexpr std::string_view kType = "Tan";
  static constexpr bool kKeepsZero = true;
  float value(float x) const { return std::tan(x); }
  float slope(float x) const { return 1.0f + std::tan(x) * std::tan(x); }
};
struct ThresholdedRelu {
  static constexpr std::string_view kType = "ThresholdedRelu";
  static constexpr bool kKeepsZero = false;  // a threshold may lie below 0
  float alpha = 1.0f;
  void visit(AttributeVisitor& visitor) { visitor("alpha", alpha); }
  float value(float x) const { return x > alpha ? x : 0.0f; }
  float slope(float x) const { return x > alpha ? 1.0f : 0.0f; }
};

// ---- the others

struct Acos {
  static constexpr std::string_view kType = "Acos";
  static constexpr bool kKeepsZero = false;
  float value(float x) const { return std::acos(x); }
  float slope(float x) const { return -1.0f / std::sqrt(1.0f - x * x); }
};
struct Acosh {
  static constexpr std::string_view kType = "Acosh";
  static constexpr bool kKeepsZero = false;
  float value(float x) const { return std::acosh(x); }
  float slope(float x) const { return 1.0f / std::sqrt(x * x - 1.0f); }
};
struct Cos {
  static constexpr std::string_view kType = "Cos";
  static constexpr bool kKeepsZero = false;
  float value(float x) const { return std::cos(x); }
  float slope(float x) const { return -std::sin(x); }
};
struct Cosh {
  static constexpr std::string_view kType = "Cosh";
  static constexpr bool kKeepsZero = false;
  float value(float x) const { return std::cosh(x); }
  float slope(float x) const { return std::sinh(x); }
};
struct Exp {
  static constexpr std::string_view kType = "Exp";
  static constexpr bool kKeepsZero = false;
  float value(float x) const { return std::exp(x); }
  float slope(float x) const { return std::exp(x); }
};
struct Log {
  static constexpr std::string_view kType = "Log";
  static constexpr bool kKeepsZero = false;
  float value(float x) const { return std::log(x); }
  float slope(float x) const { return 1.0f / x; }
};
struct Not {
  static constexpr std::string_view kType = "Not";
  static constexpr Result kResult = Result::truth;
  static constexpr bool kKeepsZero = false;
  float value(float x) const { return x == 0.0f ? 1.0f : 0.0f; }
  float slope(float) const { return 0.0f; }
};
struct Reciprocal {
  static constexpr std::string_view kType = "Reciprocal";
  static constexpr bool kKeepsZero = false;
  float value(float x) const { return 1.0f / x; }
  float slope(float x) const { return -1.0f / (x * x); }
};
struct Softplus {
  static constexpr std::string_view kType = "Softplus";
  static constexpr bool kKeepsZero = false;
  float value(float x) const { return softplus(x); }
  float slope(float x) const { return logistic(x); }
};
struct Sqrt {
  static constexpr std::string_view kType = "Sqrt";
  static constexpr bool kKeepsZero = false;  // the slope at 0 is infinite
  float value(float x) const { return std::sqrt(x); }
  float slope(float x) const { return 0.5f / std::sqrt(x); }
};

/// The op of a row.
template <typename Function>
struct Unary final : SimpleOp<Unary<Function>> {
  static constexpr std::string_view kType = Function::kType;
  static constexpr Layout kLayout =
      Function::kKeepsZero ? Layout::elementwise_keeps_zero : Layout::elementwise;
  Function function;

  void visit(AttributeVisitor& visitor) override {
    if constexpr (requires { function.visit(visitor); }) function.visit(visitor);
  }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    return same_shape(inputs);
  }
  Traits traits() const override {
    if constexpr (requires { Function::kResult; }) return {.result = Function::kResult};
    return {};
  }
  void forward(const Io& io) const {
    const Function f = function;
    map(io.input(0), io.output(0), [f](float x) { return f.value(x); });
  }
  void backward(const GradIo& io) const {
    const Function f = function;
    map_gradient(io, io.input(0), [f](float x, float dy) { return dy * f.slope(x); });
  }
};

template <typename... Functions>
std::vector<FamilyMember> rows() {
  return members<Unary<Functions>...>();
}

}  // namespace

const std::vector<FamilyMember>& unary_functions() {
  static const std::vector<FamilyMember> all =
      rows<Abs, Acos, Acosh, Asin, Asinh, Atan, Atanh, Ceil, Celu, Cos, Cosh, Erf, Exp, Floor, Gelu,
           IsInf, IsNaN, Log, Mish, Neg, Not, Reciprocal, Round, Selu, Sign, Sin, Sinh, Softplus,
           Softsign, Sqrt, Tan, ThresholdedRelu>();
  return all;
}

Var nn::unary(Var x, std::string_view f, std::string_view name) {
  return x.graph().add(make_member(unary_functions(), f), {x}, name);
}

}  // namespace rung
