#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "io/onnx/constants/constant.h"

namespace rung::io::onnx_import {

/// One node of the file: its inputs and outputs by name, and its attributes by type.
class NodeReader {
 public:
  NodeReader(const ::onnx::NodeProto& proto, std::int64_t opset) : proto_(proto), opset_(opset) {}

  const std::string& type() const { return proto_.op_type(); }
  const std::string& name() const { return proto_.name(); }
  const ::onnx::NodeProto& proto() const { return proto_; }
  std::int64_t opset() const { return opset_; }
  /// Returns how an error names the node: "[Conv conv1]".
  std::string title() const;

  std::size_t input_count() const { return static_cast<std::size_t>(proto_.input_size()); }
  /// True if the optional input is there.
  bool has_input(std::size_t i) const { return i < input_count() && !text(i).empty(); }
  /// Throws Error if it is not there.
  const std::string& input(std::size_t i) const;
  std::size_t output_count() const { return static_cast<std::size_t>(proto_.output_size()); }
  /// True if the node has the output, and names it.
  bool has_output(std::size_t i) const {
    return i < output_count() && !proto_.output(static_cast<int>(i)).empty();
  }
  /// Throws Error if it is not there.
  const std::string& output(std::size_t i = 0) const;

  bool has(std::string_view attribute) const { return find(attribute) != nullptr; }
  // Each returns the attribute, or `missing`; throws Error if it is of another type.
  std::int64_t integer(std::string_view attribute, std::int64_t missing) const;
  float number(std::string_view attribute, float missing) const;
  std::string text(std::string_view attribute, std::string_view missing) const;
  std::vector<std::int64_t> integers(std::string_view attribute,
                                     const std::vector<std::int64_t>& missing = {}) const;
  std::vector<float> numbers(std::string_view attribute) const;
  std::vector<std::string> texts(std::string_view attribute) const;
  std::optional<Constant> tensor(std::string_view attribute) const;
  /// Takes an attribute to be known without reading it.
  void ignore(std::string_view attribute) const { seen_.emplace(attribute); }
  /// Throws Error if there is an attribute that nobody asked for: it would have been ignored.
  void finish() const;

 private:
  const std::string& text(std::size_t i) const { return proto_.input(static_cast<int>(i)); }
  const ::onnx::AttributeProto* find(std::string_view attribute) const;

  const ::onnx::NodeProto& proto_;
  std::int64_t opset_;
  mutable std::set<std::string, std::less<>> seen_;
};

}  // namespace rung::io::onnx_import
