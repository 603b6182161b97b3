// Gemm and MatMul.

#include "io/onnx/ops/matrix.h"

#include <algorithm>

#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

Tensor scaled(const Tensor& tensor, float factor) {
  if (factor == 1.0f) return tensor;
  Tensor result = tensor.clone();
  for (float& each : result.data()) each *= factor;
  return result;
}

/// Returns C as a vector [O] if it is one, repeated or not, along the rows.
bool is_vector(const Shape& shape, std::int64_t outputs) {
  return shape.numel() == 1 ||
         (shape.numel() == outputs && (shape.rank() == 1 || (shape.rank() == 2 && shape[0] == 1)));
}

Tensor as_vector(const Tensor& bias, std::int64_t outputs) {
  if (bias.numel() == 1 && outputs != 1) return Tensor::full(Shape{outputs}, bias.data()[0]);
  return bias.reshape(Shape{outputs});
}

class GemmConverter {
 public:
  GemmConverter(Importer& importer, const NodeReader& node) : importer_(importer), node_(node) {}

  void convert() {
    x_ = &importer_.value(node_.input(0));
    require(x_->shape().rank() == 2, "x must be a matrix, got {}", x_->shape());
    if (node_.integer("transA", 0) != 0)
      x_ = &importer_.add_step(node_, "transposed",
                               make_op("Transpose", {{"perm", Integers{1, 0}}}), {x_});
    if (takes_layer())
      as_layer();
    else
      as_product();
  }

 private:
  /// True if it is y = x weight^T + bias with a weight that is known or stands so already.
  bool takes_layer() {
    const std::string& b = node_.input(1);
    const bool is_known = importer_.is_constant(b);
    const Shape weight = is_known ? importer_.constant(b)->shape : importer_.value(b).shape();
    require(weight.rank() == 2, "the weight must be a matrix, got {}", weight);
    outputs_ = weight[transposed_b_ ? 0 : 1];
    if (!is_known && (!transposed_b_ || alpha_ != 1.0f)) return false;
    if (!node_.has_input(2)) return true;
    const std::string& c = node_.input(2);
    return importer_.is_constant(c)
               ? is_vector(importer_.constant(c)->shape, outputs_)
               : beta_ == 1.0f && importer_.value(c).shape() == Shape{outputs_};
  }

  void as_layer() {
    std::vector<Value*> inputs = {x_, &weight()};
    if (node_.has_input(2)) {
      const std::string& c = node_.input(2);
      const bool is_plain = !importer_.is_constant(c) ||
                            (beta_ == 1.0f && importer_.constant(c)->shape == Shape{outputs_});
      inputs.push_back(is_plain ? &importer_.parameter(c, Role::bias)
                                : &importer_.parameter(
                                      c, Role::bias, fmt::format("vector {} {}", beta_, outputs_),
                                      [&](const Tensor& bias) {
                                        return as_vector(scaled(bias, beta_), outputs_);
                                      }));
    }
    importer_.add(node_, make_op("Gemm"), inputs);
  }

  Value& weight() {
    const std::string& b = node_.input(1);
    if (!importer_.is_constant(b) || (transposed_b_ && alpha_ == 1.0f))
      return importer_.parameter(b, Role::weight);
    return importer_.parameter(b, Role::weight, fmt::format("{} {}", alpha_, transposed_b_),
                               [&](const Tensor& weight) {
                                 return scaled(transposed_b_ ? weight : transposed(weight), alpha_);
                               });
  }

  /// The general case: alpha (a b) + beta c.
  void as_product() {
    Value* b = &importer_.parameter(node_.input(1), Role::weight);
    if (transposed_b_)
      b = &importer_.add_step(node_, "b", make_op("Transpose", {{"perm", Integers{1, 0}}}), {b});
    const bool has_c = node_.has_input(2);
    if (!has_c && alpha_ == 1.0f) {
      importer_.add(node_, make_op("MatMul"), {x_, b});
      return;
    }
    Value* y = &importer_.add_step(node_, "product", make_op("MatMul"), {x_, b});
    if (alpha_ != 1.0f) y = &times(y, alpha_, "alpha", !has_c);
    if (!has_c) return;
    Value* c = &importer_.parameter(node_.input(2), Role::bias);
    if (beta_ != 1.0f) c = &times(c, beta_, "beta", /*is_last=*/false);
    importer_.add(node_, make_op("Add"), {y, c});
  }

  Value& times(Value* x, float factor, std::string_view name, bool is_last) {
    Value& constant = importer_.add_parameter(fmt::format("{}.{}.value", node_.output(), name),
                                              Tensor::scalar(factor), Role::buffer);
    return is_last ? importer_.add(node_, make_op("Mul"), {x, &constant})
                   : importer_.add_step(node_, name, make_op("Mul"), {x, &constant});
  }

  Importer& importer_;
  const NodeReader& node_;
  float alpha_ = node_.number("alpha", 1.0f), beta_ = node_.number("beta", 1.0f);
  bool transposed_b_ = node_.integer("transB", 0) != 0 || importer_.is_transposed(node_.input(1));
  std::int64_t outputs_ = 0;
  Value* x_ = nullptr;
};

void read_gemm(Importer& importer, const NodeReader& node) {
  GemmConverter(importer, node).convert();
}

void read_matmul(Importer& importer, const NodeReader& node) {
  std::vector<Value*> inputs;
  for (const std::size_t i : {0u, 1u})
    inputs.push_back(&importer.parameter(node.input(i), Role::weight));
  importer.add(node, make_op("MatMul"), inputs);
}

void write_gemm(Export& to) {
  to.attributes.put("transB", std::int64_t{1});
  to.write();
}

}  // namespace

Tensor transposed(const Tensor& tensor) {
  const std::int64_t rows = tensor.size(0), columns = tensor.size(1);
  Tensor result(Shape{columns, rows});
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      result.data()[static_cast<std::size_t>(j * rows + i)] =
          tensor.data()[static_cast<std::size_t>(i * columns + j)];
  return result;
}

std::vector<OnnxRule> matrix_rules() {
  return {
      {.type = "Gemm", .read = read_gemm, .write = write_gemm},
      {.type = "MatMul", .read = read_matmul, .write = write_plain},
  };
}

}  // namespace rung::io::onnx_ops
