// Norms of one image; BatchNormalization stands in convert_elementwise.cpp.

#include <algorithm>

#include "io/onnx/import/convert.h"
#include "io/onnx/import/make_op.h"
#include "ops/elementwise/broadcast.h"

namespace rung::io::onnx_import {
namespace {

Shape shape_of(Importer& importer, const std::string& tensor) {
  return importer.is_constant(tensor) ? importer.constant(tensor)->shape
                                      : importer.value(tensor).shape();
}

/// Returns a weight or bias with this shape: constants may have fewer elements, each of which
/// stands for `run` in a row or, if `run` is 0, is repeated as in Add.
Value& spread_parameter(Importer& importer, const std::string& tensor, Role role,
                        const Shape& shape, std::int64_t run) {
  const Shape own = shape_of(importer, tensor);
  if (own == shape || !importer.is_constant(tensor)) return importer.parameter(tensor, role);
  require(run > 0 ? own.numel() * run == shape.numel() : broadcast_shape(own, shape) == shape,
          "needs {} as {}, got {}", tensor, shape, own);
  return importer.parameter(
      tensor, role, fmt::format("{} {}", shape.to_string(), run), [&](const Tensor& few) {
        Tensor all(shape);
        const Shape inner = own.rank() == 0 ? Shape{1} : own;
        for (std::int64_t i = 0; i < shape.numel(); ++i) {
          std::int64_t from = i / std::max<std::int64_t>(run, 1);
          if (run == 0) {  // the place in `few`, whose axes are the last ones
            from = 0;
            std::int64_t rest = i, step = 1;
            for (std::int64_t axis = 1; axis <= inner.rank(); ++axis) {
              const std::int64_t at = rest % shape[shape.rank() - axis];
              rest /= shape[shape.rank() - axis];
              if (inner[inner.rank() - axis] != 1) from += at * step;
              step *= inner[inner.rank() - axis];
            }
          }
          all.data()[static_cast<std::size_t>(i)] = few.data()[static_cast<std::size_t>(from)];
        }
        return all;
      });
}

}  // namespace

void convert_layer_normalization(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  node.ignore("stash_type");  // everything is float32
  const std::int64_t axis = front_axis(node.integer("axis", -1), x.shape().rank());
  const auto group = x.shape().dims().subspan(static_cast<std::size_t>(axis));
  const Shape shape(std::vector<std::int64_t>(group.begin(), group.end()));
  std::vector<Value*> inputs = {&x};
  inputs.push_back(&spread_parameter(importer, node.input(1), Role::norm, shape, 0));
  if (node.has_input(2))
    inputs.push_back(&spread_parameter(importer, node.input(2), Role::bias, shape, 0));
  importer.add(node, read_op(node), inputs);
}

void convert_instance_normalization(Importer& importer, const NodeReader& node) {
  importer.add(node, read_op(node),
               {&importer.value(node.input(0)), &importer.parameter(node.input(1), Role::norm),
                &importer.parameter(node.input(2), Role::bias)});
}

/// Before opset 21 weight and bias have a number per group, from then on per channel.
void convert_group_normalization(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  node.ignore("stash_type");
  require(x.shape().rank() >= 3, "works on [N, C, ...], got {}", x.shape());
  const Shape shape{x.shape()[1]};
  const std::int64_t groups = node.integer("num_groups", 1);
  require(groups > 0 && shape[0] % groups == 0, "cannot make {} groups of {} channels", groups,
          shape[0]);
  const std::int64_t run = node.opset() < 21 ? shape[0] / groups : 1;
  importer.add(node, read_op(node),
               {&x, &spread_parameter(importer, node.input(1), Role::norm, shape, run),
                &spread_parameter(importer, node.input(2), Role::bias, shape, run)});
}

/// x / |x| along an axis.
void convert_lp_normalization(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::int64_t axis = front_axis(node.integer("axis", -1), x.shape().rank());
  const std::int64_t p = node.integer("p", 2);
  require(p == 1 || p == 2, "has p = {}: 1 and 2 are imported", p);
  Value& length =
      importer.add_step(node, "length",
                        make_op(p == 1 ? "ReduceL1" : "ReduceL2",
                                {{"axes", std::vector<std::int64_t>{axis}}, {"keepdims", true}}),
                        {&x});
  importer.add(node, make_op("Div"), {&x, &length});
}

}  // namespace rung::io::onnx_import
