#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "io/onnx/import/node_reader.h"

// What exporters write around the layers: shapes and constants that are computed from others.

namespace rung::io::onnx_import {

/// Inputs of a node, in order; nullptr for an optional one that is missing.
using ConstantPtr = std::shared_ptr<const Constant>;

/// What computing constants may cost in all: a file must not make much of little.
class Budget {
 public:
  explicit Budget(std::int64_t elements) : left_(elements) {}
  /// Throws Error if so many elements are too many.
  void take(std::int64_t elements);

 private:
  std::int64_t left_;
};

/// Lists the types that evaluate() knows beside Constant and Shape, sorted.
const std::vector<std::string_view>& evaluated_ops();
/// True if a node of this type can be computed from constants.
bool can_evaluate(std::string_view type);
/// The same, given the inputs: a tensor whose shape follows the batch size is no constant.
bool can_evaluate(std::string_view type, const std::vector<ConstantPtr>& inputs);
/// Computes the outputs of a node whose inputs are all constants; throws Error if it goes beyond
/// what is supported.
std::vector<Constant> evaluate(const NodeReader& node, const std::vector<ConstantPtr>& inputs,
                               Budget& budget);

/// Returns what is left of codes between these limits (none: all) by a Clip from `low` to `high`.
std::optional<std::array<std::int64_t, 2>> joint_limits(
    const std::optional<std::array<std::int64_t, 2>>& limits, std::int64_t low, std::int64_t high);

/// Returns how many of the axis' elements each output of a Split gets; `given`: its input 1.
std::vector<std::int64_t> split_sizes(const NodeReader& node, const ConstantPtr& given,
                                      std::int64_t extent);

/// What a Slice takes of one axis: elements start, start + step, ..., `count` of them.
struct SlicedAxis {
  std::int64_t axis = 0, start = 0, step = 1, count = 0;
};
/// Reads a Slice of data of this shape: attributes before opset 10, constants from then on, given
/// as the node's inputs (the first of which is not looked at).
std::vector<SlicedAxis> sliced_axes(const NodeReader& node, const std::vector<ConstantPtr>& inputs,
                                    const Shape& shape);

/// Returns the tensor of a Constant node.
Constant constant_node(const NodeReader& node);

/// Returns the axes that a node has as an attribute or, from `since` on, as input 1; empty if none.
std::vector<std::int64_t> axes_of(const NodeReader& node, const ConstantPtr& input,
                                  std::int64_t since);
/// Returns an axis counted from the front; throws Error if it lies outside.
std::int64_t front_axis(std::int64_t axis, std::int64_t rank);

}  // namespace rung::io::onnx_import
