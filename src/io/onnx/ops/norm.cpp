// Norms.

#include <algorithm>
#include <cmath>

#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"
#include "ops/elementwise/broadcast.h"
#include "rung/ops/ops.h"

namespace rung::io::onnx_ops {
namespace {

/// ONNX tells the weight of the old statistics. 1 - float(0.9) is 0.10000002: the decimal number
/// that the exporter started from is taken where there is one within float32's error.
float momentum_of(float weight_of_old) {
  const double exact = 1.0 - double{weight_of_old};
  const double decimal = std::round(exact * 1e6) / 1e6;
  return static_cast<float>(std::abs(exact - decimal) < 1e-7 ? decimal : exact);
}

void read_batch_normalization(Importer& importer, const NodeReader& node) {
  auto op = std::make_unique<BatchNormalization>();
  op->epsilon = node.number("epsilon", 1e-5f);
  op->momentum = momentum_of(node.number("momentum", 0.9f));
  node.ignore("training_mode");  // up to the executor's mode
  require(node.integer("spatial", 1) == 1, "normalizes each pixel apart, which is not imported");
  std::vector<Value*> inputs = {&importer.value(node.input(0))};
  for (const std::size_t i : {1u, 2u})
    inputs.push_back(&importer.parameter(node.input(i), Role::norm));
  for (const std::size_t i : {3u, 4u})
    inputs.push_back(&importer.parameter(node.input(i), Role::buffer));
  importer.add(node, std::move(op), inputs);
}

void write_batch_normalization(Export& to) {
  to.attributes.take<std::int64_t>("frozen");
  to.attributes.put("momentum", 1.0f - to.attributes.take<float>("momentum"));
  to.write();
}

void refuse_simulated_fold(Export& to) {
  fail(
      "[{} {}] ONNX has no batch norm that is folded in simulation: export the sim with "
      "QuantizationSimModel::export_to, which folds it",
      to.node.type(), to.node.name());
}

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

void read_layer_normalization(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  node.ignore("stash_type");  // everything is float32
  const std::int64_t axis = front_axis(node.integer("axis", -1), x.shape().rank());
  const auto group = x.shape().dims().subspan(static_cast<std::size_t>(axis));
  const Shape shape(Integers(group.begin(), group.end()));
  std::vector<Value*> inputs = {&x};
  inputs.push_back(&spread_parameter(importer, node.input(1), Role::norm, shape, 0));
  if (node.has_input(2))
    inputs.push_back(&spread_parameter(importer, node.input(2), Role::bias, shape, 0));
  importer.add(node, read_op(node), inputs);
}

void read_instance_normalization(Importer& importer, const NodeReader& node) {
  importer.add(node, read_op(node),
               {&importer.value(node.input(0)), &importer.parameter(node.input(1), Role::norm),
                &importer.parameter(node.input(2), Role::bias)});
}

/// Before opset 21 weight and bias have a number per group, from then on per channel.
void read_group_normalization(Importer& importer, const NodeReader& node) {
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
void read_lp_normalization(Importer& importer, const NodeReader& node) {
  Value& x = importer.value(node.input(0));
  const std::int64_t axis = front_axis(node.integer("axis", -1), x.shape().rank());
  const std::int64_t p = node.integer("p", 2);
  require(p == 1 || p == 2, "has p = {}: 1 and 2 are imported", p);
  Value& length = importer.add_step(
      node, "length",
      make_op(p == 1 ? "ReduceL1" : "ReduceL2", {{"axes", Integers{axis}}, {"keepdims", true}}),
      {&x});
  importer.add(node, make_op("Div"), {&x, &length});
}

}  // namespace

std::vector<OnnxRule> norm_rules() {
  return {
      {.type = "BatchNormalization",
       .read = read_batch_normalization,
       .write = write_batch_normalization},
      {.type = "FoldedBatchNormalization", .write = refuse_simulated_fold},
      {.type = "FoldedBias", .write = refuse_simulated_fold},
      {.type = "FoldedWeight", .write = refuse_simulated_fold},
      {.type = "GroupNormalization",
       .read = read_group_normalization,
       .write = write_plain,
       .since = 21},
      {.type = "InstanceNormalization", .read = read_instance_normalization, .write = write_plain},
      {.type = "LayerNormalization",
       .read = read_layer_normalization,
       .write = write_plain,
       .since = 17},
      {.type = "LpNormalization", .read = read_lp_normalization},
  };
}

}  // namespace rung::io::onnx_ops
