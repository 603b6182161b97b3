#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rung/core/tensor.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
#include "rung/quant/encoding.h"

namespace rung::analysis {

/// A tensor of a network under the name that it has with and without quantizers: its numbers are
/// those that its readers get, behind a quantizer that all of them read through.
struct NetworkTensor {
  std::string name;
  /// The op that computes it, "input", "parameter" or, for what a quantizer on one edge alone
  /// makes, "edge".
  std::string type;
  Shape shape = {};         ///< as the graph was built
  bool fixed = false;       ///< does not depend on the network's inputs
  std::string value = {};   ///< of the graph, that has these numbers
  std::string before = {};  ///< the value before the quantizer; empty without one that works
  std::optional<Encoding> encoding = {};  ///< if the numbers are codes times a scale
};

/// Returns all tensors of a network in network order: inputs, then for each operation its
/// parameters (Role::encoding left out) and its outputs.
std::vector<NetworkTensor> network_tensors(const Graph& graph);

/// Runs a network and hands out its tensors.
class TensorRun {
 public:
  /// The graph must outlive it.
  explicit TensorRun(Graph& graph);

  const std::vector<NetworkTensor>& tensors() const { return tensors_; }
  /// Returns how much memory the tensors take for each image.
  std::int64_t bytes_per_image() const { return bytes_per_image_; }
  void run(std::span<const Tensor> inputs);
  /// Returns the tensor of the last run.
  Tensor numbers(const NetworkTensor& tensor) const;
  /// Returns what its quantizer got.
  Tensor before(const NetworkTensor& tensor) const;

 private:
  Tensor read(const std::string& value) const;

  Graph& graph_;
  std::vector<NetworkTensor> tensors_;
  std::int64_t bytes_per_image_ = 0;
  Executor executor_;
};

}  // namespace rung::analysis
