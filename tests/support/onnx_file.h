#pragma once

#include <doctest/doctest.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/io/onnx_export.h"
#include "support/temporary_folder.h"

// ONNX files that are exported, and what stands in them.

namespace onnxtest {

inline onnx::ModelProto load(const std::string& path) {
  onnx::ModelProto model;
  std::ifstream in(path, std::ios::binary);
  REQUIRE(model.ParseFromIstream(&in));
  return model;
}

/// Exports and reads the file; what ONNX 1.12 knows is checked by its own library.
inline onnx::ModelProto exported(const rung::Graph& graph,
                                 const rung::io::OnnxExportOptions& options = {}) {
  const TemporaryFolder folder;
  rung::io::save_onnx(graph, folder.path("net.onnx"), options);
  onnx::ModelProto model = load(folder.path("net.onnx"));
  if (model.opset_import(0).version() <= 17) {
    onnx::checker::check_model(model);
    onnx::ModelProto inferred = model;
    onnx::shape_inference::InferShapes(inferred, onnx::OpSchemaRegistry::Instance(), {true, 1});
  }
  return model;
}

/// Returns why the graph cannot be exported, and checks that nothing was written.
inline std::string error_of(const rung::Graph& graph,
                            const rung::io::OnnxExportOptions& options = {}) {
  const TemporaryFolder folder;
  try {
    rung::io::save_onnx(graph, folder.path("net.onnx"), options);
  } catch (const rung::Error& error) {
    CHECK_FALSE(std::filesystem::exists(folder.path("net.onnx")));
    return error.what();
  }
  return {};
}

inline const onnx::NodeProto& node_of(const onnx::ModelProto& model, const std::string& name) {
  for (const onnx::NodeProto& node : model.graph().node())
    if (node.name() == name) return node;
  FAIL("no node " << name);
  return model.graph().node(0);
}

inline bool has_node(const onnx::ModelProto& model, const std::string& name) {
  for (const onnx::NodeProto& node : model.graph().node())
    if (node.name() == name) return true;
  return false;
}

inline const onnx::TensorProto& tensor_of(const onnx::ModelProto& model, const std::string& name) {
  for (const onnx::TensorProto& tensor : model.graph().initializer())
    if (tensor.name() == name) return tensor;
  FAIL("no tensor " << name);
  return model.graph().initializer(0);
}

inline const onnx::AttributeProto* attribute_of(const onnx::NodeProto& node,
                                                const std::string& name) {
  for (const onnx::AttributeProto& attribute : node.attribute())
    if (attribute.name() == name) return &attribute;
  return nullptr;
}

template <typename T>
std::vector<T> numbers(const onnx::TensorProto& tensor) {
  std::vector<T> result(tensor.raw_data().size() / sizeof(T));
  std::memcpy(result.data(), tensor.raw_data().data(), tensor.raw_data().size());
  return result;
}

inline std::vector<std::string> inputs_of(const onnx::NodeProto& node) {
  return {node.input().begin(), node.input().end()};
}

inline std::vector<std::int64_t> dims_of(const onnx::TensorProto& tensor) {
  return {tensor.dims().begin(), tensor.dims().end()};
}

}  // namespace onnxtest
