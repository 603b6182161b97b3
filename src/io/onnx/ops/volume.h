#pragma once

#include "io/onnx/import/importer.h"

// Conv and the pools with three axes, [N, C, D, H, W], made of those with two.

namespace rung::io::onnx_ops {

using namespace onnx_import;

/// A convolution in depth adds up the images of its window as one in the plane does channels.
void read_volume_conv(Importer& importer, const NodeReader& node);
/// The largest of a volume, and its average, is that in depth of those in the plane.
void read_volume_pool(Importer& importer, const NodeReader& node);

}  // namespace rung::io::onnx_ops
