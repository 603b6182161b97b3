#pragma once

#include "io/onnx/constants/evaluate_constants.h"

// What the functions that compute constants share.

namespace rung::io::onnx_import {

/// Throws Error if the input is missing.
const Constant& input(const std::vector<ConstantPtr>& inputs, std::size_t i);
/// Returns how far apart neighbours along each axis lie in row-major order.
std::vector<std::int64_t> strides_of(const Shape& shape);
/// Lists positions base + sum of index[i] * step[i] for all indices within `shape`, row-major.
std::vector<std::int64_t> positions(const Shape& shape, const std::vector<std::int64_t>& steps,
                                    std::int64_t base);

/// Repeats x to a shape that it can be repeated to.
Constant spread(const Constant& x, const Shape& shape);

/// Computes a member of a family of functions, or Where.
Constant evaluate_function(const NodeReader& node, const std::vector<ConstantPtr>& inputs,
                           Budget& budget);
Constant evaluate_expand(const NodeReader& node, const std::vector<ConstantPtr>& inputs,
                         Budget& budget);
Constant evaluate_range(const NodeReader& node, const std::vector<ConstantPtr>& inputs,
                        Budget& budget);
Constant evaluate_clip(const NodeReader& node, const std::vector<ConstantPtr>& inputs,
                       Budget& budget);
std::vector<Constant> evaluate_split(const NodeReader& node,
                                     const std::vector<ConstantPtr>& inputs);
/// Computes Add, Sub, Mul and Div.
Constant evaluate_arithmetic(const NodeReader& node, const std::vector<ConstantPtr>& inputs,
                             Budget& budget);

}  // namespace rung::io::onnx_import
