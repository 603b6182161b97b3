#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/quant/float_format.h"
#include "rung/quant/quantizer.h"
#include "rung/quantsim/quantsim.h"

// Changes the kind of a sim's quantizers between its construction and compute_encodings. AIMET:
// aimet_torch.v2.quantsim.config_utils.

namespace rung {

/// Says which nodes of a sim's graph are meant (AIMET's `arg`: module types, modules, a predicate).
using NodePredicate = std::function<bool(const Node&)>;
/// Means the nodes of these op types (ONNX names): nodes_of_type({"Conv", "Gemm"}).
RUNG_API NodePredicate nodes_of_type(std::vector<std::string> types);
/// Means the nodes of these names; throws Error with close names if `graph` has no such node.
RUNG_API NodePredicate nodes_named(const Graph& graph, std::vector<std::string> names);

/// Gives the place of a quantizer another one: the node keeps its name, estimator and whether it is
/// enabled; the new parameters are named after it, and it has no range until calibration. Handles
/// to the old one are invalid. Throws Error, with nothing changed, if it does not fit the tensor.
RUNG_API QuantizerHandle replace_quantizer(Graph& graph, QuantizerHandle old,
                                           std::unique_ptr<Quantizer> quantizer);

struct BlockwiseOptions {
  int bitwidth = 0;  ///< 2..31; 0: what the weight's quantizer has
  bool symmetric = true;
  std::int64_t block_size = 0;  ///< input channels that share a scale; must divide their number
};
/// Quantizes weights [O, I, ...] with a scale for every output channel and block of input channels.
/// Returns how many weights; throws Error, with nothing changed, if there is none, or naming the
/// weight that cannot be cut. AIMET: set_blockwise_quantization_for_weights.
RUNG_API std::int64_t set_blockwise_quantization_for_weights(QuantizationSimModel& sim,
                                                             const NodePredicate& nodes,
                                                             const BlockwiseOptions& options);

struct GroupedBlockwiseOptions {
  int bitwidth = 0;  ///< 2..31; 0: what the weight's quantizer has
  int decompressed_bw = 8;
  std::int64_t block_size = 0;
  std::int64_t block_grouping = -1;  ///< blocks that share a float scale; -1: all of a channel
};
/// The same with scales that are whole multiples of a float scale (LPBQ, GroupedBlockQuantizer),
/// symmetric. AIMET: set_grouped_blockwise_quantization_for_weights.
RUNG_API std::int64_t set_grouped_blockwise_quantization_for_weights(
    QuantizationSimModel& sim, const NodePredicate& nodes, const GroupedBlockwiseOptions& options);

/// Rounds the activations that these nodes read or write to a floating-point format instead of an
/// integer grid. Returns how many quantizers; throws Error if there is none. AIMET:
/// set_activation_quantizers_to_float.
RUNG_API std::int64_t set_activation_quantizers_to_float(QuantizationSimModel& sim,
                                                         const NodePredicate& nodes,
                                                         const FloatFormat& format = kFloat16);

}  // namespace rung
