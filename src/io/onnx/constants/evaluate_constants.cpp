#include "io/onnx/constants/evaluate_constants.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "core/join.h"
#include "io/onnx/constants/helpers.h"
#include "ops/elementwise/families.h"

namespace rung::io::onnx_import {
namespace {

using Inputs = std::vector<ConstantPtr>;
using Ints = std::vector<std::int64_t>;
using Proto = ::onnx::TensorProto;

ConstantPtr optional(const Inputs& inputs, std::size_t i) {
  return i < inputs.size() ? inputs[i] : nullptr;
}

Constant reshaped(const Constant& source, const Ints& dims) {
  Constant result = source;
  result.shape = checked_shape(dims);
  require(result.shape.numel() == source.shape.numel(), "cannot make {} of {}", result.shape,
          source.shape);
  return result;
}

Constant evaluate_reshape(const NodeReader& node, const Inputs& inputs, Budget&) {
  const Constant& x = input(inputs, 0);
  Ints dims = input(inputs, 1).whole_numbers();
  const bool allow_zero = node.integer("allowzero", 0) != 0;
  std::int64_t known = 1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !allow_zero) dims[i] = x.shape[static_cast<std::int64_t>(i)];
    if (dims[i] == -1) continue;
    require(dims[i] >= 0 && dims[i] <= kMaxExtent && known <= kMaxExtent, "has the shape [{}]",
            join(dims));
    known *= dims[i];
  }
  for (std::int64_t& dim : dims)
    if (dim == -1 && known > 0) dim = x.shape.numel() / known;
  return reshaped(x, dims);
}

Constant evaluate_flatten(const NodeReader& node, const Inputs& inputs, Budget&) {
  const Constant& x = input(inputs, 0);
  std::int64_t axis = node.integer("axis", 1);
  if (axis < 0) axis += x.shape.rank();
  require(axis >= 0 && axis <= x.shape.rank(), "axis {} is outside of {}", axis, x.shape);
  std::int64_t front = 1;
  for (std::int64_t i = 0; i < axis; ++i) front *= x.shape[i];
  return reshaped(x, {front, front == 0 ? 0 : x.shape.numel() / front});
}

Constant evaluate_squeeze(const NodeReader& node, const Inputs& inputs, Budget&) {
  const Constant& x = input(inputs, 0);
  Ints axes = axes_of(node, optional(inputs, 1), 13);
  for (std::int64_t& axis : axes) {
    axis = front_axis(axis, x.shape.rank());
    require(x.shape[axis] == 1, "cannot leave out axis {} of {}", axis, x.shape);
  }
  Ints dims;
  for (std::int64_t i = 0; i < x.shape.rank(); ++i)
    if (axes.empty() ? x.shape[i] != 1 : std::ranges::find(axes, i) == axes.end())
      dims.push_back(x.shape[i]);
  return reshaped(x, dims);
}

Constant evaluate_unsqueeze(const NodeReader& node, const Inputs& inputs, Budget&) {
  const Constant& x = input(inputs, 0);
  Ints axes = axes_of(node, optional(inputs, 1), 13);
  const auto rank = x.shape.rank() + static_cast<std::int64_t>(axes.size());
  require(rank <= static_cast<std::int64_t>(kMaxRank), "makes {} axes", rank);
  for (std::int64_t& axis : axes) axis = front_axis(axis, rank);
  Ints dims;
  std::int64_t from = 0;
  for (std::int64_t i = 0; i < rank; ++i) {
    const bool is_new = std::ranges::find(axes, i) != axes.end();
    dims.push_back(is_new ? 1 : x.shape[from]);
    if (!is_new) ++from;
  }
  require(from == x.shape.rank(), "names an axis twice");
  return reshaped(x, dims);
}

Constant evaluate_transpose(const NodeReader& node, const Inputs& inputs, Budget&) {
  const Constant& x = input(inputs, 0);
  Ints perm = node.integers("perm");
  if (perm.empty())
    for (std::int64_t i = x.shape.rank(); i-- > 0;) perm.push_back(i);
  Ints sorted = perm;
  std::ranges::sort(sorted);
  for (std::size_t i = 0; i < sorted.size(); ++i)
    require(sorted[i] == static_cast<std::int64_t>(i), "perm [{}] is no permutation", join(perm));
  require(static_cast<std::int64_t>(perm.size()) == x.shape.rank(), "perm does not fit {}",
          x.shape);
  const Ints strides = strides_of(x.shape);
  Ints dims, steps;
  for (const std::int64_t axis : perm) {
    dims.push_back(x.shape[axis]);
    steps.push_back(strides[static_cast<std::size_t>(axis)]);
  }
  const Shape shape(dims);
  return take(x, shape, positions(shape, steps, 0));
}

Constant evaluate_concat(const NodeReader& node, const Inputs& inputs, Budget&) {
  const Constant& first = input(inputs, 0);
  const std::int64_t axis = front_axis(node.integer("axis", 0), first.shape.rank());
  std::int64_t outer = 1, extent = 0;
  for (std::int64_t i = 0; i < axis; ++i) outer *= first.shape[i];
  Constant result;
  result.type = first.type;
  bool batch = false;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Constant& each = input(inputs, i);
    require(each.type == first.type && each.shape.rank() == first.shape.rank() &&
                each.shape.with(axis, 0) == first.shape.with(axis, 0),
            "cannot join {} of {} and {} of {}", type_name(first.type), first.shape,
            type_name(each.type), each.shape);
    extent += each.shape[axis];
    batch = batch || !each.per_batch.empty();
  }
  for (std::int64_t row = 0; row < outer; ++row)
    for (const ConstantPtr& each : inputs) {
      const std::int64_t size = each->shape.numel() / outer, begin = row * size;
      const auto append = [&](auto& to, const auto& from) {
        to.insert(to.end(), from.begin() + begin, from.begin() + begin + size);
      };
      if (!first.is_integer()) {
        append(result.floats, each->floats);
        continue;
      }
      append(result.integers, each->integers);
      if (!batch) continue;
      if (each->per_batch.empty())
        result.per_batch.insert(result.per_batch.end(), static_cast<std::size_t>(size), 0);
      else
        append(result.per_batch, each->per_batch);
    }
  result.shape = first.shape.with(axis, extent);
  return result;
}

Constant evaluate_gather(const NodeReader& node, const Inputs& inputs, Budget& budget) {
  const Constant& x = input(inputs, 0);
  const Constant& indices = input(inputs, 1);
  const std::int64_t axis = front_axis(node.integer("axis", 0), x.shape.rank());
  std::int64_t outer = 1, inner = 1;
  Ints dims;
  for (std::int64_t i = 0; i < axis; ++i) dims.push_back(x.shape[i]), outer *= x.shape[i];
  for (const std::int64_t dim : indices.shape.dims()) dims.push_back(dim);
  for (std::int64_t i = axis + 1; i < x.shape.rank(); ++i)
    dims.push_back(x.shape[i]), inner *= x.shape[i];
  const Shape shape = checked_shape(dims);
  budget.take(shape.numel());
  Ints from;
  for (std::int64_t row = 0; row < outer; ++row)
    for (std::int64_t index : indices.whole_numbers()) {
      index = front_axis(index, x.shape[axis]);
      for (std::int64_t i = 0; i < inner; ++i)
        from.push_back((row * x.shape[axis] + index) * inner + i);
    }
  return take(x, shape, from);
}

Constant evaluate_slice(const NodeReader& node, const Inputs& inputs, Budget&) {
  const Constant& x = input(inputs, 0);
  Ints dims(x.shape.dims().begin(), x.shape.dims().end());
  Ints strides = strides_of(x.shape);
  std::int64_t base = 0;
  for (const SlicedAxis& each : sliced_axes(node, inputs, x.shape)) {
    const auto axis = static_cast<std::size_t>(each.axis);
    dims[axis] = each.count;
    base += each.start * strides[axis];
    strides[axis] *= each.step;
  }
  const Shape shape(dims);
  return take(x, shape, positions(shape, strides, base));
}

Constant evaluate_cast(const NodeReader& node, const Inputs& inputs, Budget&) {
  const auto type = static_cast<std::int32_t>(node.integer("to", 0));
  node.ignore("saturate");
  Constant result = input(inputs, 0);
  require(is_float(type) || onnx_import::is_integer(type), "cannot cast to {}", type_name(type));
  if (is_float(type) && result.is_integer()) {
    require(result.per_batch.empty(), "depends on the batch size");
    result.floats.assign(result.integers.begin(), result.integers.end());
    result.integers.clear();
  } else if (!is_float(type) && !result.is_integer()) {
    for (const float each : result.floats) {
      require(std::abs(each) < 9e18f, "cannot cast {} to {}", each, type_name(type));
      result.integers.push_back(type == Proto::BOOL ? each != 0.0f
                                                    : static_cast<std::int64_t>(each));
    }
    result.floats.clear();
  }
  result.type = type;
  return result;
}

Constant evaluate_constant_of_shape(const NodeReader& node, const Inputs& inputs, Budget& budget) {
  const Shape shape = checked_shape(input(inputs, 0).whole_numbers());
  budget.take(shape.numel());
  std::optional<Constant> value = node.tensor("value");
  if (!value) {
    value.emplace();
    value->shape = Shape{1};
    value->floats = {0.0f};
  }
  require(value->shape.numel() == 1, "value must be one number, got {}", value->shape);
  return take(*value, shape, Ints(static_cast<std::size_t>(shape.numel()), 0));
}

Constant evaluate_rounding(const NodeReader& node, const Inputs& inputs, Budget&) {
  Constant result = input(inputs, 0);
  for (float& each : result.floats)
    each = node.type() == "Floor" ? std::floor(each) : std::ceil(each);
  return result;
}

Constant evaluate_identity(const NodeReader&, const Inputs& inputs, Budget&) {
  return input(inputs, 0);
}

using Evaluator = Constant (*)(const NodeReader&, const Inputs&, Budget&);

/// Sorted by name; beside them, functions of one and two tensors.
constexpr std::array kEvaluators = std::to_array<std::pair<std::string_view, Evaluator>>({
    {"Add", evaluate_arithmetic},      {"Cast", evaluate_cast},
    {"Ceil", evaluate_rounding},       {"Clip", evaluate_clip},
    {"Concat", evaluate_concat},       {"ConstantOfShape", evaluate_constant_of_shape},
    {"Div", evaluate_arithmetic},      {"Expand", evaluate_expand},
    {"Flatten", evaluate_flatten},     {"Floor", evaluate_rounding},
    {"Gather", evaluate_gather},       {"Identity", evaluate_identity},
    {"Mul", evaluate_arithmetic},      {"Range", evaluate_range},
    {"Reshape", evaluate_reshape},     {"Slice", evaluate_slice},
    {"Squeeze", evaluate_squeeze},     {"Sub", evaluate_arithmetic},
    {"Transpose", evaluate_transpose}, {"Unsqueeze", evaluate_unsqueeze},
    {"Where", evaluate_function},
});

/// The one with several outputs.
constexpr std::string_view kSplit = "Split";

Evaluator find_evaluator(std::string_view type) {
  for (const auto& [name, function] : kEvaluators)
    if (name == type) return function;
  for (const auto* family : {&unary_functions(), &binary_functions()})
    for (const FamilyMember& member : *family)
      if (member.type == type) return evaluate_function;
  return nullptr;
}

}  // namespace

void Budget::take(std::int64_t elements) {
  require(elements <= left_, "computes far more constants than the file is large");
  left_ -= elements;
}

const std::vector<std::string_view>& evaluated_ops() {
  static const std::vector<std::string_view> types = [] {
    std::vector<std::string_view> made;
    for (const auto& entry : kEvaluators) made.push_back(entry.first);
    made.push_back(kSplit);
    return made;
  }();
  return types;
}

bool can_evaluate(std::string_view type) {
  return find_evaluator(type) != nullptr || type == kSplit;
}

bool can_evaluate(std::string_view type, const std::vector<ConstantPtr>& inputs) {
  const std::size_t shape = type == "Expand" ? 1 : type == "ConstantOfShape" ? 0 : inputs.size();
  return can_evaluate(type) &&
         (shape >= inputs.size() || inputs[shape] == nullptr || inputs[shape]->per_batch.empty());
}

std::vector<Constant> evaluate(const NodeReader& node, const std::vector<ConstantPtr>& inputs,
                               Budget& budget) {
  for (const ConstantPtr& each : inputs)
    if (each) budget.take(each->shape.numel());
  std::vector<Constant> results;
  if (node.type() == kSplit)
    results = evaluate_split(node, inputs);
  else
    results.push_back(find_evaluator(node.type())(node, inputs, budget));
  node.finish();
  // What is left of a shape may no longer depend on the batch size.
  for (Constant& each : results)
    if (std::ranges::all_of(each.per_batch, [](std::int64_t count) { return count == 0; }))
      each.per_batch.clear();
  return results;
}

std::vector<SlicedAxis> sliced_axes(const NodeReader& node, const std::vector<ConstantPtr>& inputs,
                                    const Shape& shape) {
  const bool as_attributes = node.opset() < 10;
  const auto list = [&](std::size_t i, const char* name) -> Ints {
    if (as_attributes) return node.integers(name);
    const ConstantPtr found = optional(inputs, i);
    return found ? found->whole_numbers() : Ints{};
  };
  const Ints starts = list(1, "starts"), ends = list(2, "ends");
  Ints axes = list(3, "axes"), steps = as_attributes ? Ints{} : list(4, "steps");
  if (axes.empty())
    for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (steps.empty()) steps.assign(starts.size(), 1);
  require(
      starts.size() == ends.size() && starts.size() == axes.size() && starts.size() == steps.size(),
      "has lists of different lengths");
  std::vector<SlicedAxis> slices;
  std::vector<bool> is_named(static_cast<std::size_t>(shape.rank()), false);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    SlicedAxis made{.axis = front_axis(axes[i], shape.rank()), .step = steps[i]};
    require(!is_named[static_cast<std::size_t>(made.axis)], "names axis {} twice", made.axis);
    is_named[static_cast<std::size_t>(made.axis)] = true;
    require(made.step != 0 && std::abs(made.step) <= kMaxExtent, "has the step {}", made.step);
    const std::int64_t extent = shape[made.axis];
    const auto clamped = [&](std::int64_t at, std::int64_t low, std::int64_t high) {
      return std::clamp(at < 0 ? std::max(at, -kMaxExtent) + extent : at, low, high);
    };
    const bool up = made.step > 0;
    if (extent == 0) {
      slices.push_back(made);
      continue;
    }
    made.start = clamped(starts[i], 0, up ? extent : extent - 1);
    const std::int64_t end = clamped(ends[i], up ? 0 : -1, up ? extent : extent - 1);
    const std::int64_t span = up ? end - made.start : made.start - end;
    made.count = span <= 0 ? 0 : (span + std::abs(made.step) - 1) / std::abs(made.step);
    slices.push_back(made);
  }
  return slices;
}

Constant constant_node(const NodeReader& node) {
  Constant result;
  if (const std::optional<Constant> value = node.tensor("value")) {
    result = *value;
  } else if (node.has("value_float")) {
    result.floats = {node.number("value_float", 0.0f)};
  } else if (node.has("value_floats")) {
    result.floats = node.numbers("value_floats");
    result.shape = Shape{static_cast<std::int64_t>(result.floats.size())};
  } else if (node.has("value_int")) {
    result = Constant::of_integers({node.integer("value_int", 0)});
    result.shape = Shape{};
  } else if (node.has("value_ints")) {
    result = Constant::of_integers(node.integers("value_ints"));
  } else {
    fail("has no value that is read: tensor, float, floats, int or ints");
  }
  node.finish();
  return result;
}

std::vector<std::int64_t> axes_of(const NodeReader& node, const ConstantPtr& input,
                                  std::int64_t since) {
  if (node.opset() < since) return node.integers("axes");
  return input ? input->whole_numbers() : Ints{};
}

std::int64_t front_axis(std::int64_t axis, std::int64_t rank) {
  require(axis >= -rank && axis < rank, "axis or index {} is outside of {}", axis, rank);
  return axis < 0 ? axis + rank : axis;
}

}  // namespace rung::io::onnx_import
