#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/check.h"
#include "io/onnx/constant_names.h"
#include "io/onnx/export/export_writer.h"
#include "rung/graph/graph.h"
#include "rung/graph/op.h"

// What the functions that write one op share.

namespace rung::io {

using Strings = std::vector<std::string>;
using Integers = std::vector<std::int64_t>;
using AttributeData = std::variant<std::int64_t, float, std::string, Integers, Strings>;

/// Collects what Op::visit shows, by ONNX name.
class Attributes final : public AttributeVisitor {
 public:
  void operator()(std::string_view name, std::int64_t& value) override { put(name, value); }
  void operator()(std::string_view name, double& value) override {
    put(name, static_cast<float>(value));
  }
  void operator()(std::string_view name, float& value) override { put(name, value); }
  void operator()(std::string_view name, bool& value) override {
    put(name, static_cast<std::int64_t>(value));
  }
  void operator()(std::string_view name, std::string& value) override { put(name, value); }
  void operator()(std::string_view name, Integers& value) override { put(name, value); }

  /// Removes one and returns it.
  template <typename T>
  T take(const std::string& name) {
    const auto found = map_.extract(name);
    return std::get<T>(found.mapped());
  }
  void put(std::string_view name, AttributeData value) {
    map_[std::string(name)] = std::move(value);
  }
  void write(onnx::NodeProto& node) const {
    for (const auto& entry : map_)
      std::visit([&](const auto& value) { set_attribute(node, entry.first, value); }, entry.second);
  }

 private:
  std::map<std::string, AttributeData> map_;
};

/// One node on its way into the file.
struct Export {
  OnnxWriter& writer;
  Node& node;
  Attributes attributes;
  Strings inputs;
  const Strings& outputs;

  void write(std::string_view type) {
    attributes.write(writer.node(type, node.name(), inputs, outputs));
  }
  void write() { write(node.type()); }
  /// Returns the name of a new tensor that belongs to the node.
  std::string name_of(std::string_view what) {
    return writer.fresh_name(onnx_constant_name(node, what));
  }
  /// Turns an attribute into the next input.
  void attribute_to_input(const std::string& name) {
    inputs.push_back(name_of(name));
    writer.integers(inputs.back(), attributes.take<Integers>(name));
  }
};

}  // namespace rung::io
