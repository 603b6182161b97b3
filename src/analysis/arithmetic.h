#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rung/analysis/analysis.h"
#include "rung/core/tensor.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"

namespace rung::analysis {

/// Returns how many multiplications a node needs whose first output has this shape: of a Conv,
/// ConvTranspose, Gemm or MatMul; 0 of others. `input` is the shape of its first input.
std::int64_t macs_of(const Node& node, const Shape& input, const Shape& output);

/// The integer sums of a Conv, ConvTranspose or Gemm whose input and weight have codes.
class Sums {
 public:
  /// None for a node without such sums, and for weights in blocks, whose sums have several scales.
  static std::optional<Sums> of(const Node& layer);

  /// Shows the layer's output in the quantized network, before its quantizer.
  void observe(const ConstTensor& output);
  Accumulator result() const;

 private:
  std::vector<double> scales_;  // of the sums, one or one per output channel
  double worst_case_ = 0.0, observed_ = 0.0;
};

/// How often measure_seconds() runs the network; the first run prepares things and does not count.
inline constexpr int kTimedRuns = 3;

/// Returns the seconds that each node of a float network takes for these inputs, by name; what is
/// computed together counts for its first node.
std::map<std::string, double> measure_seconds(Graph& network, std::span<const Tensor> inputs);

}  // namespace rung::analysis
