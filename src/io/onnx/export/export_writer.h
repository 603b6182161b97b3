#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/shape.h"
#include "rung/graph/graph.h"
#include "rung/io/onnx_export.h"

namespace rung::io {

/// Types of newer ONNX than the headers: the file has plain numbers.
inline constexpr int kOnnxUint4 = 21, kOnnxInt4 = 22;

/// Adds nodes and initializers to an ONNX graph.
class OnnxWriter {
 public:
  /// Names of `graph` are taken from the beginning.
  OnnxWriter(onnx::GraphProto& proto, const Graph& graph, int opset, OnnxCodes codes);

  int opset() const { return opset_; }
  OnnxCodes codes() const { return codes_; }
  /// Returns the name, or one like it if the file has that already, and takes it.
  std::string fresh_name(std::string name);

  onnx::NodeProto& node(std::string_view type, const std::string& name,
                        std::span<const std::string> inputs, std::span<const std::string> outputs);
  onnx::NodeProto& node(std::string_view type, const std::string& name,
                        std::initializer_list<std::string> inputs,
                        std::initializer_list<std::string> outputs) {
    return node(type, name, std::span(inputs.begin(), inputs.size()),
                std::span(outputs.begin(), outputs.size()));
  }

  /// Adds a tensor of any type, given its little-endian bytes.
  void tensor(const std::string& name, int data_type, const Shape& shape, std::string bytes);
  void floats(const std::string& name, const Shape& shape, std::span<const float> values);
  void integers(const std::string& name, std::span<const std::int64_t> values);  ///< int64 [n]

 private:
  onnx::GraphProto& proto_;
  int opset_;
  OnnxCodes codes_;
  std::set<std::string, std::less<>> names_;
};

void set_attribute(onnx::NodeProto& node, std::string_view name, std::int64_t value);
void set_attribute(onnx::NodeProto& node, std::string_view name, float value);
void set_attribute(onnx::NodeProto& node, std::string_view name, std::string_view value);
void set_attribute(onnx::NodeProto& node, std::string_view name,
                   std::span<const std::int64_t> values);
void set_attribute(onnx::NodeProto& node, std::string_view name,
                   std::span<const std::string> texts);

/// Returns the bytes of numbers, little-endian as this machine's memory.
template <typename T>
std::string bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace rung::io
