#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rung/graph/graph.h"

namespace rung::io {

/// Returns the name that a constant of an op, an attribute of ours, has in our ONNX files, unless
/// another tensor has that: "relu6.max".
std::string onnx_constant_name(const Node& node, std::string_view what);

/// Returns the names of the constants of an op that are numbers like those of its tensors: the
/// bounds of a Clip, what a Pad adds.
std::vector<std::string> onnx_number_constants(const Node& node);

}  // namespace rung::io
