#pragma once

#include <onnx/onnx_pb.h>

#include <vector>

namespace rung::io::onnx_import {

/// Returns the nodes, producers before consumers, otherwise in the order of the file. Throws Error
/// naming a cycle if there is one.
std::vector<const ::onnx::NodeProto*> sorted_nodes(const ::onnx::GraphProto& file);

}  // namespace rung::io::onnx_import
