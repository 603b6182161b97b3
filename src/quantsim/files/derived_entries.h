#pragma once

#include <span>
#include <vector>

#include "rung/graph/graph.h"
#include "rung/io/encodings.h"

// Tensors without a quantizer whose numbers are those of one that has one.

namespace rung::quantsim {

/// An entry that follows from others.
struct DerivedEntry {
  io::TensorEncoding entry;
  const Node* op = nullptr;  ///< what the numbers go through from one tensor to the other
  bool is_backward = false;  ///< it stands before that op, not behind it
};

/// Returns the entries that follow from `known`, in the order in which they are found: behind ops
/// that only move numbers and, where nobody else reads that, before them; before a Clip, Max or
/// Min, and of the constants that it is given; behind products with and quotients by positive
/// constants, and of these. Names are those of the tensors in our ONNX files; entries with several
/// scales are not passed on.
///
/// AIMET derives the same when it exports (sim.onnx.export).
std::vector<DerivedEntry> derived_entries(const Graph& graph,
                                          std::span<const io::TensorEncoding> known);

/// Leaves those that aimet_onnx's load_encodings_to_sim(strict=True) wants of a file of this
/// version, which has quantizers there or passes them on, and adds those of depthwise and 3-D
/// convolutions before a Relu, which it does not fuse with it. With its int32 biases it refuses
/// AIMET's own files, too.
std::vector<DerivedEntry> strictly_loadable(std::vector<DerivedEntry> derived, const Graph& graph,
                                            std::span<const io::TensorEncoding> known,
                                            io::EncodingsVersion version);

}  // namespace rung::quantsim
