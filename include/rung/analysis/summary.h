#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::analysis {

/// One attribute of an operation, as text: {"strides", "[2, 2]"}.
struct Attribute {
  std::string name, value;
  friend bool operator==(const Attribute&, const Attribute&) = default;
};

/// One operation of a network, or one of its inputs: what it is and costs, without running it.
struct LayerSummary {
  std::string name, type;                  ///< the type of an input is "input"
  Shape output_shape;                      ///< of its first output, as the graph was built
  std::vector<Attribute> attributes = {};  ///< that differ from the defaults of its type
  /// Numbers in its weights, biases and other parameters, without buffers and ranges; what several
  /// operations share counts for the first one.
  std::int64_t parameters = 0;
  std::int64_t float_bytes = 0;  ///< of these as float32
  std::int64_t bytes = 0;        ///< with those that have a working quantizer as codes
  /// Multiplications of Conv, ConvTranspose, Gemm and MatMul, for one image: one element of the
  /// first axis of the network's first input.
  std::int64_t macs = 0;
  /// On its inputs, its parameters and its outputs; valid as long as the graph.
  std::vector<QuantizerHandle> quantizers = {};
};

/// Inputs and operations in network order (without the quantizers' nodes), and their sums.
struct NetworkSummary {
  std::vector<LayerSummary> layers;
  std::int64_t parameters = 0, float_bytes = 0, bytes = 0, macs = 0;
  std::int64_t quantizers = 0, working_quantizers = 0;  ///< working: enabled, of less than 32 bits
};

/// Returns what a network consists of; nothing runs.
RUNG_API NetworkSummary summarize(const Graph& graph);

}  // namespace rung::analysis
