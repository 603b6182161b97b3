// One number made of all elements along some axes: a row for each way to make it, which says how
// elements are taken in, what comes out, and the slope along one of them.

#include <cmath>
#include <limits>

#include "ops/elementwise/families.h"
#include "ops/shape/axes.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/functions.h"

namespace rung {
namespace {

struct Sum {
  static constexpr std::string_view kType = "ReduceSum";
  double sum = 0.0;
  void take(double x) { sum += x; }
  double result() const { return sum; }
  double slope(double) const { return 1.0; }
};
struct SumSquare {
  static constexpr std::string_view kType = "ReduceSumSquare";
  double sum = 0.0;
  void take(double x) { sum += x * x; }
  double result() const { return sum; }
  double slope(double x) const { return 2.0 * x; }
};
struct L1 {
  static constexpr std::string_view kType = "ReduceL1";
  double sum = 0.0;
  void take(double x) { sum += std::abs(x); }
  double result() const { return sum; }
  double slope(double x) const { return static_cast<double>((x > 0.0) - (x < 0.0)); }
};
struct L2 {
  static constexpr std::string_view kType = "ReduceL2";
  double sum = 0.0;
  void take(double x) { sum += x * x; }
  double result() const { return std::sqrt(sum); }
  double slope(double x) const { return sum > 0.0 ? x / std::sqrt(sum) : 0.0; }
};
struct LogSum {
  static constexpr std::string_view kType = "ReduceLogSum";
  double sum = 0.0;
  void take(double x) { sum += x; }
  double result() const { return std::log(sum); }
  double slope(double) const { return 1.0 / sum; }
};
/// The largest element is subtracted before exp, whichever it turns out to be.
struct LogSumExp {
  static constexpr std::string_view kType = "ReduceLogSumExp";
  static constexpr double kLeast = -std::numeric_limits<double>::infinity();
  double largest = kLeast, sum = 0.0;
  void take(double x) {
    if (x == kLeast) return;
    if (x > largest) {
      sum = sum * std::exp(largest - x) + 1.0;
      largest = x;
    } else {
      sum += x == largest ? 1.0 : std::exp(x - largest);
    }
  }
  double result() const { return sum == 0.0 ? kLeast : largest + std::log(sum); }
  double slope(double x) const { return std::exp(x - largest) / sum; }
};
/// Elements that are equal share the gradient, as in torch.amax; one that is NaN is the result.
struct Max {
  static constexpr std::string_view kType = "ReduceMax";
  static constexpr Result kResult = Result::some_of_input;
  double best = -std::numeric_limits<double>::infinity();
  std::int64_t count = 0;
  void take(double x) {
    if (x > best || std::isnan(x) || count == 0) best = x, count = 0;
    if (x == best) ++count;
  }
  double result() const { return best; }
  double slope(double x) const { return x == best ? 1.0 / static_cast<double>(count) : 0.0; }
};
struct Min {
  static constexpr std::string_view kType = "ReduceMin";
  static constexpr Result kResult = Result::some_of_input;
  double best = std::numeric_limits<double>::infinity();
  std::int64_t count = 0;
  void take(double x) {
    if (x < best || std::isnan(x) || count == 0) best = x, count = 0;
    if (x == best) ++count;
  }
  double result() const { return best; }
  double slope(double x) const { return x == best ? 1.0 / static_cast<double>(count) : 0.0; }
};
/// The slope is the product of the others: zeros are counted apart.
struct Prod {
  static constexpr std::string_view kType = "ReduceProd";
  double product = 1.0;
  std::int64_t zeros = 0;
  void take(double x) {
    if (x == 0.0)
      ++zeros;
    else
      product *= x;
  }
  double result() const { return zeros > 0 ? 0.0 : product; }
  double slope(double x) const {
    if (x == 0.0) return zeros == 1 ? product : 0.0;
    return zeros == 0 ? product / x : 0.0;
  }
};

/// How the elements lie that become one: axes that stay, and axes that are reduced.
class Cut {
 public:
  Cut(const std::vector<std::int64_t>& axes, const Shape& x) {
    const std::vector<bool> named = require_axes(axes, x.rank());
    for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
      const bool reduced = axes.empty() || named[static_cast<std::size_t>(axis)];
      auto& list = reduced ? reduced_ : kept_;
      (reduced ? size_ : count_) *= x[axis];
      list.push_back({x[axis], product(x, axis + 1, x.rank())});
    }
  }
  std::int64_t count() const { return count_; }  ///< how many results
  std::int64_t size() const { return size_; }    ///< how many elements make one

  /// Calls body(number of a result, each), from several threads; each(f) calls f(place in x) for
  /// every element of that result, in order.
  template <typename Body>
  void each_result(const Body& body) const {
    const std::int64_t grain = std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, size_));
    parallel_for(count_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t first = place(i, kept_);
        body(i, [&](const auto& f) {
          for (std::int64_t k = 0; k < size_; ++k) f(first + place(k, reduced_));
        });
      }
    });
  }

 private:
  struct Axis {
    std::int64_t extent, stride;
  };
  static std::int64_t place(std::int64_t index, const std::vector<Axis>& axes) {
    if (axes.size() == 1) return index * axes[0].stride;
    std::int64_t at = 0;
    for (std::size_t k = axes.size(); k-- > 0; index /= axes[k].extent)
      at += index % axes[k].extent * axes[k].stride;
    return at;
  }

  std::vector<Axis> kept_, reduced_;  // outermost first
  std::int64_t count_ = 1, size_ = 1;
};

/// The op of a row.
template <typename Function>
struct Reduction final : SimpleOp<Reduction<Function>> {
  static constexpr std::string_view kType = Function::kType;
  std::vector<std::int64_t> axes;
  bool keepdims = true;

  void visit(AttributeVisitor& visitor) override {
    visitor("axes", axes);
    visitor("keepdims", keepdims);
  }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override {
    require_input_count(inputs, 1);
    const Shape& x = inputs[0];
    require(x.numel() > 0, "cannot make a number of nothing, got {}", x);
    const std::vector<bool> named = require_axes(axes, x.rank());
    std::vector<std::int64_t> extents;
    for (std::int64_t axis = 0; axis < x.rank(); ++axis)
      if (!axes.empty() && !named[static_cast<std::size_t>(axis)])
        extents.push_back(x[axis]);
      else if (keepdims)
        extents.push_back(1);
    return {Shape(std::move(extents))};
  }
  Traits traits() const override {
    if constexpr (requires { Function::kResult; }) return {.result = Function::kResult};
    return {};
  }
  void forward(const Io& io) const {
    const float* x = io.input(0).data;
    float* y = io.output(0).data;
    Cut(axes, *io.input(0).shape).each_result([&](std::int64_t i, const auto& each) {
      Function f;
      each([&](std::int64_t at) { f.take(x[at]); });
      y[i] = static_cast<float>(f.result());
    });
  }
  void backward(const GradIo& io) const {
    if (!io.wants(0)) return;
    const float *x = io.input(0).data, *dy = io.output_grad(0).data;
    float* dx = io.input_grad(0).data;
    Cut(axes, *io.input(0).shape).each_result([&](std::int64_t i, const auto& each) {
      Function f;
      each([&](std::int64_t at) { f.take(x[at]); });
      each([&](std::int64_t at) { dx[at] = static_cast<float>(dy[i] * f.slope(x[at])); });
    });
  }
};

template <typename... Functions>
std::vector<FamilyMember> rows() {
  return members<Reduction<Functions>...>();
}

/// Hands the options to a member of the family, whose type nobody outside knows.
class OptionSetter final : public AttributeVisitor {
 public:
  explicit OptionSetter(const nn::ReduceOptions& options) : options_(options) {}
  void operator()(std::string_view, std::vector<std::int64_t>& axes) override {
    axes = options_.axes;
  }
  void operator()(std::string_view, bool& keepdims) override { keepdims = options_.keepdims; }
  void operator()(std::string_view, std::int64_t&) override {}
  void operator()(std::string_view, double&) override {}
  void operator()(std::string_view, float&) override {}
  void operator()(std::string_view, std::string&) override {}

 private:
  const nn::ReduceOptions& options_;
};

}  // namespace

const std::vector<FamilyMember>& reductions() {
  static const std::vector<FamilyMember> all =
      rows<L1, L2, LogSum, LogSumExp, Max, Min, Prod, Sum, SumSquare>();
  return all;
}

Var nn::reduce(Var x, std::string_view f, const ReduceOptions& options, std::string_view name) {
  std::unique_ptr<Op> op = make_member(reductions(), f);
  OptionSetter setter(options);
  op->visit(setter);
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
