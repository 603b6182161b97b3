// Functions of constants that the library has as ops, and tensors made from numbers.

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "io/onnx/constants/helpers.h"
#include "io/onnx/import/make_op.h"
#include "ops/elementwise/broadcast.h"

namespace rung::io::onnx_import {
namespace {

using Inputs = std::vector<ConstantPtr>;
using Ints = std::vector<std::int64_t>;
using Proto = ::onnx::TensorProto;

constexpr std::int64_t kLargestExact = std::int64_t{1} << 24;  // of floats, which ops compute with

/// Returns the elements for a batch of this size.
Tensor at_batch(const Constant& x, std::int64_t batch) {
  if (!x.is_integer()) return Tensor(x.shape, x.floats);
  Tensor result(x.shape);
  for (std::size_t i = 0; i < x.integers.size(); ++i) {
    const std::int64_t per_batch = x.per_batch.empty() ? 0 : x.per_batch[i];
    require(std::abs(x.integers[i]) <= kLargestExact && std::abs(per_batch) <= kLargestExact / 4,
            "computes with the integer {}", x.integers[i]);
    result.data()[i] = static_cast<float>(x.integers[i] + per_batch * batch);
  }
  return result;
}

/// Runs the op's own kernel.
Tensor computed(const Op& op, std::vector<Tensor> inputs, Budget& budget) {
  std::vector<Shape> shapes;
  for (const Tensor& each : inputs) shapes.push_back(each.shape());
  const std::vector<Shape> outputs = op.infer(shapes);
  const Shape shape = checked_shape({outputs[0].dims().begin(), outputs[0].dims().end()});
  budget.take(shape.numel());
  const std::vector<Format> formats(inputs.size(), Format::plain);
  const auto wants = std::make_unique<bool[]>(inputs.size());
  const std::unique_ptr<Kernel> kernel = op.compile({.name = op.type(),
                                                     .inputs = shapes,
                                                     .outputs = outputs,
                                                     .formats = formats,
                                                     .wants = {wants.get(), inputs.size()}});
  Tensor result(shape);
  std::vector<View> views;
  for (Tensor& each : inputs)
    views.push_back({.data = each.data().data(), .shape = &each.shape(), .count = each.numel()});
  const View y{.data = result.data().data(), .shape = &result.shape(), .count = result.numel()};
  kernel->forward(Io(views, {&y, 1}, Mode::eval, Rng(0), nullptr, nullptr, {}));
  return result;
}

/// Returns numbers of this type; they may be fixed + per_batch * N, which three batch sizes show.
Constant as_constant(const std::vector<Tensor>& results, std::int32_t type) {
  Constant made;
  made.type = type;
  made.shape = results[0].shape();
  if (is_float(type)) {
    made.floats.assign(results[0].data().begin(), results[0].data().end());
    return made;
  }
  for (const Tensor& each : results)
    for (const float value : each.data())
      require(std::abs(value) <= static_cast<float>(kLargestExact) && std::trunc(value) == value,
              "computes {}, which is no integer that can be taken", value);
  for (std::size_t i = 0; i < results[0].data().size(); ++i) {
    const float one = results[0].data()[i];
    const float growth = results.size() == 1 ? 0.0f : results[1].data()[i] - one;
    require(results.size() == 1 || results[2].data()[i] - results[1].data()[i] == growth,
            "depends on the batch size");
    made.per_batch.push_back(static_cast<std::int64_t>(growth));
    made.integers.push_back(static_cast<std::int64_t>(one - growth));
  }
  return made;
}

Constant evaluate_op(const Op& op, const Inputs& inputs, Budget& budget) {
  const bool follows =
      std::ranges::any_of(inputs, [](const ConstantPtr& each) { return !each->per_batch.empty(); });
  std::vector<Tensor> results;
  for (std::int64_t batch = 1; batch <= (follows ? 3 : 1); ++batch) {
    std::vector<Tensor> numbers;
    for (const ConstantPtr& each : inputs) numbers.push_back(at_batch(*each, batch));
    results.push_back(computed(op, numbers, budget));
  }
  return as_constant(results,
                     op.traits().result == Result::truth ? Proto::BOOL : inputs.back()->type);
}

}  // namespace

Constant evaluate_function(const NodeReader& node, const Inputs& inputs, Budget& budget) {
  for (std::size_t i = 0; i < inputs.size(); ++i) input(inputs, i);
  const std::unique_ptr<Op> op = read_op(node);
  if (node.type() != "Max" && node.type() != "Min") return evaluate_op(*op, inputs, budget);
  ConstantPtr best = inputs[0];  // of any number
  for (std::size_t i = 1; i < inputs.size(); ++i)
    best = std::make_shared<const Constant>(evaluate_op(*op, {best, inputs[i]}, budget));
  return *best;
}

Constant evaluate_expand(const NodeReader&, const Inputs& inputs, Budget& budget) {
  const Constant& x = input(inputs, 0);
  const Ints& extents = input(inputs, 1).whole_numbers();
  const Shape joint = broadcast_shape(x.shape, checked_shape(extents));
  const Shape shape = checked_shape({joint.dims().begin(), joint.dims().end()});
  budget.take(shape.numel());
  return spread(x, shape);
}

Constant evaluate_range(const NodeReader&, const Inputs& inputs, Budget& budget) {
  const Constant& first = input(inputs, 0);
  const double start = first.scalar(), limit = input(inputs, 1).scalar(),
               delta = input(inputs, 2).scalar();
  const double count = std::max(0.0, std::ceil((limit - start) / delta));
  require(count <= static_cast<double>(kMaxExtent), "counts from {} to {} by {}", start, limit,
          delta);
  budget.take(static_cast<std::int64_t>(count));
  Constant made;
  made.type = first.type;
  made.shape = Shape{static_cast<std::int64_t>(count)};
  for (std::int64_t i = 0; i < made.shape.numel(); ++i) {
    const double value = start + static_cast<double>(i) * delta;
    if (first.is_integer())
      made.integers.push_back(static_cast<std::int64_t>(value));
    else
      made.floats.push_back(static_cast<float>(value));
  }
  return made;
}

}  // namespace rung::io::onnx_import
