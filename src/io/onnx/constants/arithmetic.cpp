// Sums, differences, products and quotients of constants, repeated as NumPy does.

#include "core/check.h"
#include "io/onnx/constants/helpers.h"
#include "ops/elementwise/broadcast.h"

namespace rung::io::onnx_import {

using Inputs = std::vector<ConstantPtr>;
using Ints = std::vector<std::int64_t>;

const Constant& input(const Inputs& inputs, std::size_t i) {
  require(i < inputs.size() && inputs[i] != nullptr, "needs an input {}", i);
  return *inputs[i];
}

Ints strides_of(const Shape& shape) {
  Ints strides(static_cast<std::size_t>(shape.rank()), 1);
  for (std::size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * shape.dims()[i];
  return strides;
}

Ints positions(const Shape& shape, const Ints& steps, std::int64_t base) {
  Ints result;
  result.reserve(static_cast<std::size_t>(shape.numel()));
  Ints index(steps.size(), 0);
  std::int64_t at = base;
  for (std::int64_t done = 0; done < shape.numel(); ++done) {
    result.push_back(at);
    for (std::size_t i = steps.size(); i-- > 0;) {
      at += steps[i];
      if (++index[i] < shape.dims()[i]) break;
      at -= steps[i] * index[i];
      index[i] = 0;
    }
  }
  return result;
}

Constant spread(const Constant& x, const Shape& shape) {
  const Ints own = strides_of(x.shape);
  Ints steps(static_cast<std::size_t>(shape.rank()), 0);
  for (std::int64_t i = 1; i <= x.shape.rank(); ++i)
    if (x.shape[x.shape.rank() - i] != 1)
      steps[static_cast<std::size_t>(shape.rank() - i)] =
          own[static_cast<std::size_t>(x.shape.rank() - i)];
  return take(x, shape, positions(shape, steps, 0));
}

namespace {

std::int64_t checked(std::int64_t a, std::int64_t b, char op) {
  std::int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case '+':
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case '-':
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case '*':
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    default:
      require(b != 0, "divides by zero");
      overflow = a == INT64_MIN && b == -1;
      if (!overflow) result = a / b;
  }
  require(!overflow, "computes {} {} {}, beyond int64", a, op, b);
  return result;
}

float real(float a, float b, char op) {
  return op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
}

/// Integers are a + p * N each: sums and differences of them are, too, products with a plain one,
/// and quotients that leave no rest.
void compute(Constant& a, const Constant& b, char op) {
  const bool batch = !a.per_batch.empty() || !b.per_batch.empty();
  if (batch) a.per_batch.resize(a.integers.size(), 0);
  for (std::size_t i = 0; i < a.integers.size(); ++i) {
    const std::int64_t x = a.integers[i], y = b.integers[i];
    const std::int64_t p = batch ? a.per_batch[i] : 0;
    const std::int64_t q = b.per_batch.empty() ? 0 : b.per_batch[i];
    a.integers[i] = checked(x, y, op);
    if (p == 0 && q == 0) continue;
    if (op == '+' || op == '-') {
      a.per_batch[i] = checked(p, q, op);
    } else if (op == '*') {
      require(p == 0 || q == 0, "computes the square of the batch size");
      a.per_batch[i] = checked(p == 0 ? x : p, q == 0 ? y : q, op);
    } else {
      require(q == 0 && x % y == 0 && p % y == 0,
              "divides by the batch size, or the batch size by {}", y);
      a.per_batch[i] = p / y;
    }
  }
}

}  // namespace

Constant evaluate_arithmetic(const NodeReader& node, const Inputs& inputs, Budget& budget) {
  const Constant &a = input(inputs, 0), &b = input(inputs, 1);
  const char op = node.type() == "Add"   ? '+'
                  : node.type() == "Sub" ? '-'
                  : node.type() == "Mul" ? '*'
                                         : '/';
  require(a.is_integer() == b.is_integer(), "mixes {} and {}", type_name(a.type),
          type_name(b.type));
  const Shape joint = broadcast_shape(a.shape, b.shape);
  const Shape shape = checked_shape({joint.dims().begin(), joint.dims().end()});
  budget.take(shape.numel());
  Constant result = spread(a, shape);
  const Constant other = spread(b, shape);
  result.limits.reset();
  if (result.is_integer()) {
    compute(result, other, op);
  } else {
    for (std::size_t i = 0; i < result.floats.size(); ++i)
      result.floats[i] = real(result.floats[i], other.floats[i], op);
  }
  return result;
}

}  // namespace rung::io::onnx_import
