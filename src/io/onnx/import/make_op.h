#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "io/onnx/import/node_reader.h"
#include "rung/graph/op.h"

namespace rung::io::onnx_import {

using AttributeValue =
    std::variant<std::int64_t, float, bool, std::string, std::vector<std::int64_t>>;

/// Makes an op of this type and sets attributes that its visit() shows; the others keep their
/// defaults. Throws Error if it has no such attribute, or of another type.
std::unique_ptr<Op> make_op(std::string_view type,
                            std::map<std::string, AttributeValue, std::less<>> attributes = {});

/// Makes an op of the node's type with its attributes: for ops that have ONNX's names and defaults.
std::unique_ptr<Op> read_op(const NodeReader& node);

/// Returns a float attribute of an op; throws Error if it has none of this name.
float float_attribute(Op& op, std::string_view name);

}  // namespace rung::io::onnx_import
