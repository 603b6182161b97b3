// Operators that repeat tensors or take parts of them by number.

#include <algorithm>

#include "io/files/names.h"
#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

/// Returns an input of the graph whose axis 0 is the batch.
Value& batch_input(Importer& importer) {
  for (Value* input : importer.graph().inputs()) {
    const Shape* larger = importer.larger_batch(*input);
    if (larger != nullptr && input->shape().rank() > 0 && (*larger)[0] != input->shape()[0])
      return *input;
  }
  fail("depends on the batch size, which no input has");
}

/// Adds x repeated to a shape, parts of which may follow the batch size.
void add_expanded(Importer& importer, const NodeReader& node, Value& x, const Constant& wanted) {
  require(wanted.is_integer() && wanted.shape.rank() == 1, "needs a shape of integers");
  const Shape larger = importer.larger_batch(x) != nullptr ? *importer.larger_batch(x) : x.shape();
  const auto rank = std::ssize(wanted.integers);
  require(rank <= static_cast<std::int64_t>(kMaxRank), "makes {} axes", rank);
  Integers shape;
  bool follows = false;
  for (std::int64_t i = 0; i < rank; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t per_batch = wanted.per_batch.empty() ? 0 : wanted.per_batch[at];
    const std::int64_t extent = wanted.integers[at] + per_batch * importer.batch();
    const std::int64_t axis = i - rank + x.shape().rank();
    require(extent > 0 && extent <= kMaxExtent, "asks for an extent of {}", extent);
    // An axis of x that follows the batch itself is kept, whatever the batch. A file for one batch
    // size has a number where the batch is meant.
    const bool fits = axis >= 0 && x.shape()[axis] == extent;
    if (fits && (larger[axis] == extent + per_batch || !importer.batch_is_open())) {
      shape.push_back(1);
      continue;
    }
    require(per_batch == 0 || (per_batch == 1 && wanted.integers[at] == 0),
            "asks for an extent of {} + {} times the batch size", wanted.integers[at], per_batch);
    follows = follows || per_batch != 0;
    shape.push_back(per_batch != 0 ? 0 : extent);
  }
  std::vector<Value*> inputs = {&x};
  if (follows) inputs.push_back(&batch_input(importer));
  importer.add(node, make_op("Expand", {{"shape", shape}}), inputs);
}

void read_expand(Importer& importer, const NodeReader& node) {
  add_expanded(importer, node, importer.value(node.input(0)), *importer.constant(node.input(1)));
}

/// Zeros (or another number) as many as the batch has images; others are constants.
void read_constant_of_shape(Importer& importer, const NodeReader& node) {
  const std::optional<Constant> value = node.tensor("value");
  const Tensor number = Tensor::full(Shape{1}, value ? static_cast<float>(value->scalar()) : 0.0f);
  Value& x =
      importer.add_parameter(importer.fresh_name(node.output() + ".value"), number, Role::buffer);
  add_expanded(importer, node, x, *importer.constant(node.input(0)));
}

void read_tile(Importer& importer, const NodeReader& node) {
  Value* x = &importer.value(node.input(0));
  const Integers repeats = importer.constant(node.input(1))->whole_numbers();
  require(std::ssize(repeats) == x->shape().rank(), "has {} repeats for {}", repeats.size(),
          x->shape());
  Integers axes;
  for (std::int64_t axis = 0; axis < std::ssize(repeats); ++axis) {
    const std::int64_t count = repeats[static_cast<std::size_t>(axis)];
    constexpr std::int64_t kMost = 1024;
    require(count > 0 && count <= kMost, "repeats axis {} {} times, 1 to {} are imported", axis,
            count, kMost);
    if (count > 1) axes.push_back(axis);
  }
  if (axes.empty()) return read_identity(importer, node);
  for (const std::int64_t axis : axes) {
    const std::vector<Value*> copies(
        static_cast<std::size_t>(repeats[static_cast<std::size_t>(axis)]), x);
    auto op = make_op("Concat", {{"axis", axis}});
    if (axis == axes.back())
      importer.add(node, std::move(op), copies);
    else
      x = &importer.add_step(node, "tiled", std::move(op), copies);
  }
}

void read_gather(Importer& importer, const NodeReader& node) {
  require(importer.is_constant(node.input(1)),
          "takes parts by numbers that the network computes, {}: constants are imported",
          shown_name(node.input(1)));
  Value& x = importer.value(node.input(0));
  const std::int64_t axis = front_axis(node.integer("axis", 0), x.shape().rank());
  const ConstantPtr indices = importer.constant(node.input(1));
  const auto dims = indices->shape.dims();
  importer.add(node,
               make_op("Gather", {{"axis", axis},
                                  {"indices", indices->whole_numbers()},
                                  {"indices_shape", Integers(dims.begin(), dims.end())}}),
               {&x});
}

/// Adds nodes that compute a shape in which 0 stands for the batch size of `batch`, and returns the
/// result's name.
std::string write_shape(Export& to, const Integers& extents, const std::string& batch) {
  const std::string all = to.name_of("shape");
  const auto first_0 = std::ranges::find(extents, 0);
  if (first_0 == extents.end()) {
    to.writer.integers(all, extents);
    return all;
  }
  const std::string sizes = to.name_of("sizes"), size = to.name_of("batch"),
                    begin = to.name_of("begin"), end = to.name_of("end");
  to.writer.integers(begin, Integers{0});
  to.writer.integers(end, Integers{1});
  to.writer.node("Shape", sizes, {batch}, {sizes});
  to.writer.node("Slice", size, {sizes, begin, end}, {size});
  Strings parts;
  for (auto from = extents.begin(); from != extents.end();) {
    if (*from == 0) {
      parts.push_back(size);
      ++from;
      continue;
    }
    const auto next = std::find(from, extents.end(), 0);
    parts.push_back(to.name_of("extents"));
    to.writer.integers(parts.back(), Integers(from, next));
    from = next;
  }
  set_attribute(to.writer.node("Concat", all, parts, Strings{all}), "axis", std::int64_t{0});
  return all;
}

void write_expand(Export& to) {
  const auto extents = to.attributes.take<Integers>("shape");
  const std::string shape = write_shape(to, extents, to.inputs.back());
  to.inputs = {to.inputs[0], shape};
  to.write();
}

void write_gather(Export& to) {
  const auto indices = to.attributes.take<Integers>("indices");
  const auto shape = to.attributes.take<Integers>("indices_shape");
  to.inputs.push_back(to.name_of("indices"));
  to.writer.tensor(to.inputs.back(), onnx::TensorProto::INT64, Shape(shape),
                   bytes_of(std::span(indices)));
  to.write();
}

}  // namespace

std::vector<OnnxRule> expand_rules() {
  return {
      {.type = "ConstantOfShape", .read = read_constant_of_shape},
      {.type = "Expand", .read = read_expand, .write = write_expand},
      {.type = "Gather", .read = read_gather, .write = write_gather, .moves_codes = true},
      {.type = "Tile", .read = read_tile},
  };
}

}  // namespace rung::io::onnx_ops
