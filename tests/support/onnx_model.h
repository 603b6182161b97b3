#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/graph/graph.h"
#include "rung/io/onnx_import.h"
#include "support/temporary_folder.h"

// ONNX models of a few nodes, made by hand and loaded.

namespace onnxtest {

/// Makes a model without nodes: an input x of [N, 4] and an output y.
inline onnx::ModelProto model_of(std::int64_t opset = 17) {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(opset);
  auto* input = model.mutable_graph()->add_input();
  input->set_name(std::string("x"));
  auto* type = input->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param(std::string("N"));
  type->mutable_shape()->add_dim()->set_dim_value(4);
  model.mutable_graph()->add_output()->set_name(std::string("y"));
  return model;
}

inline onnx::NodeProto& add_node(onnx::ModelProto& model, const std::string& type,
                                 const std::vector<std::string>& inputs,
                                 const std::string& output) {
  onnx::NodeProto& node = *model.mutable_graph()->add_node();
  node.set_op_type(type);
  for (const std::string& each : inputs) node.add_input(each);
  node.add_output(output);
  return node;
}

inline void add_integer(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

inline void add_integers(onnx::NodeProto& node, const std::string& name,
                         const std::vector<std::int64_t>& values) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

inline void add_tensor(onnx::ModelProto& model, const std::string& name,
                       const std::vector<std::int64_t>& dims, const std::vector<float>& values) {
  onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t dim : dims) tensor.add_dims(dim);
  for (const float value : values) tensor.add_float_data(value);
}

inline rung::Graph load(const onnx::ModelProto& model,
                        const rung::io::OnnxImportOptions& options = {}) {
  const TemporaryFolder folder;
  return rung::io::load_onnx(folder.write("m.onnx", model.SerializeAsString()), options);
}

/// Returns the message without the path.
inline std::string message_of(const onnx::ModelProto& model) {
  try {
    load(model);
  } catch (const rung::Error& error) {
    const std::string text = error.what();
    return text.substr(text.find(": ") + 2);
  }
  return "no Error";
}

}  // namespace onnxtest
