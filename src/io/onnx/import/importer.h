#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/onnx/constants/evaluate_constants.h"
#include "io/onnx/import/node_reader.h"
#include "io/onnx/import/read_model.h"
#include "rung/graph/graph.h"
#include "rung/io/onnx_import.h"

namespace rung::io::onnx_ops {
struct OnnxRule;
}

namespace rung::io::onnx_import {

/// A QuantizeLinear whose DequantizeLinear has not come yet: the numbers between them exist nowhere
/// in the graph.
struct Quantized {
  std::string source;  ///< the tensor that is quantized
  std::string scale;   ///< tensors with what the pair must agree on
  std::optional<std::string> zero_point;
  std::int32_t type = ::onnx::TensorProto::UINT8;
  std::int64_t axis = 1, block_size = 0;
  /// The lowest and the highest code that a Clip between the two leaves; none: the type's.
  std::optional<std::array<std::int64_t, 2>> limits = {};
  Value* result = nullptr;  ///< what the codes mean, once there is a QuantizeDequantize node
};

/// Which input of which node reads a tensor.
struct Reader {
  const ::onnx::NodeProto* node;
  std::size_t index;
};

/// Builds the graph, node by node. Every tensor of the file is a value of the graph, a constant, or
/// what lies between QuantizeLinear and DequantizeLinear.
class Importer {
 public:
  Importer(const Model& model, const OnnxImportOptions& options);
  Graph run();

  // ---- for those who read an operator: what a tensor is
  bool is_constant(const std::string& tensor) const;
  /// Throws Error unless it is a constant.
  ConstantPtr constant(const std::string& tensor);
  /// Returns a value; a constant becomes a parameter with Role::buffer. Of codes that only move it
  /// is what they mean.
  Value& value(const std::string& tensor);
  /// Returns a parameter made of a constant, or the value that it is (behind a quantizer).
  Value& parameter(const std::string& tensor, Role role);
  /// The same, changed by `form`, whose name tells two forms of one tensor apart.
  Value& parameter(const std::string& tensor, Role role, std::string_view form_name,
                   const std::function<Tensor(const Tensor&)>& form);
  /// The same under the name of the initializer that was only reshaped to become this constant
  /// (PyTorch writes a vector of slopes as [C, 1, 1]), with this shape of as many elements.
  Value& reshaped_parameter(const std::string& tensor, Role role, const Shape& shape);
  /// Returns the initializer that a constant is but for its shape, or for a Clip of its codes;
  /// otherwise the tensor itself.
  const std::string& origin(const std::string& tensor) const;
  Quantized* quantized(const std::string& tensor);
  const std::vector<Reader>& readers(const std::string& tensor) const;
  bool is_output(const std::string& tensor) const { return outputs_.contains(tensor); }
  /// Returns the shape that the value has with one more image in the batch; none if it cannot have
  /// one.
  const Shape* larger_batch(const Value& value) const;
  std::int64_t batch() const { return batch_; }
  /// True if the file leaves the batch size open.
  bool batch_is_open() const { return batch_is_open_; }

  // ---- for those who read an operator: what a tensor becomes
  /// Adds a node that writes an output of `node`: the first, if nothing else is said.
  Value& add(const NodeReader& node, std::unique_ptr<Op> op, const std::vector<Value*>& inputs,
             std::size_t output = 0);
  /// Adds a node before or behind it, named <output>.<suffix>.
  Value& add_step(const NodeReader& node, std::string_view suffix, std::unique_ptr<Op> op,
                  const std::vector<Value*>& inputs);
  /// Adds a node under this name, which nothing has yet (see fresh_name).
  Value& add_named(const std::string& name, std::unique_ptr<Op> op,
                   const std::vector<Value*>& inputs);
  void set_value(const std::string& tensor, Value& value);
  void set_constant(const std::string& tensor, Constant constant);
  void set_quantized(const std::string& tensor, Quantized quantized);
  /// Makes two names of one tensor.
  void set_alias(const std::string& tensor, const std::string& source);
  /// Notes that the weight of a Gemm with transB = 0 stands as [O, I] already.
  void set_transposed(const std::string& tensor) { transposed_.insert(tensor); }
  bool is_transposed(const std::string& tensor) const { return transposed_.contains(tensor); }
  /// Adds a parameter; the name is changed if it is taken.
  Value& add_parameter(const std::string& name, Tensor tensor, Role role);
  /// Returns `name`, or the first of <name>.1, ... that no tensor, value or node has.
  std::string fresh_name(const std::string& name) const;
  Graph& graph() { return graph_; }
  /// Takes out a node whose output nobody reads any more; its tensor is not to be read again.
  void remove(Node& node);

 private:
  struct Entry {
    Value* value = nullptr;
    ConstantPtr constant;
    const ::onnx::TensorProto* initializer = nullptr;
    std::shared_ptr<Quantized> quantized;
    std::string origin;  ///< the initializer that a constant is, read with another shape
  };

  void check_ops() const;
  void collect_names();
  void add_initializers();
  void add_inputs();
  Shape input_shape(const ::onnx::ValueInfoProto& info) const;
  void import_node(const NodeReader& node);
  void move_codes(const NodeReader& node, const onnx_ops::OnnxRule& rule);
  bool evaluate_node(const NodeReader& node);
  Constant shape_of(const NodeReader& node);
  void set_outputs();
  Entry& entry(const std::string& tensor);
  const Entry& entry(const std::string& tensor) const;
  Value& place(std::unique_ptr<Op> op, const std::vector<Value*>& inputs, const NodeNames& names);
  void define(const std::string& tensor, Entry entry);

  const ::onnx::GraphProto& file_;
  std::int64_t opset_;
  const OnnxImportOptions& options_;
  Budget budget_;
  Graph graph_;
  std::map<std::string, Entry, std::less<>> tensors_;
  std::map<std::pair<std::string, std::string>, Value*> forms_;
  std::map<std::string, std::vector<Reader>, std::less<>> readers_;
  std::set<std::string, std::less<>> outputs_, reserved_, transposed_;
  std::map<const Value*, Shape> larger_;
  std::int64_t batch_ = 1;
  bool batch_is_open_ = false;
  bool moves_codes_ = false;  // while a node is converted that moves codes
};

/// True if the node can be imported, or computed from constants, going by its type and domain.
bool is_known(const ::onnx::NodeProto& node);

}  // namespace rung::io::onnx_import
