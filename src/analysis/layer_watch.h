#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analysis/arithmetic.h"
#include "analysis/code_counts.h"
#include "analysis/difference.h"
#include "analysis/ending.h"
#include "analysis/statistics.h"
#include "rung/graph/graph.h"

namespace rung::analysis {

/// One quantizer of the network and all that is collected about it.
struct WatchedQuantizer {
  QuantizerHandle handle;
  std::string layer;
  CodeCounts codes;
  StatisticsOf statistics;

  explicit WatchedQuantizer(const QuantizerHandle& quantizer);
  /// Shows what the float network gives it.
  void add(const ConstTensor& x);
  Quantizer result() const;
};

/// One operation of the network and all that is collected about it, batch by batch.
class WatchedLayer {
 public:
  WatchedLayer(const Node& node, std::vector<const WatchedQuantizer*> quantizers);

  const std::string& name() const { return node_->name(); }
  /// Returns the value that is its output, before the quantizer of it.
  const std::string& value() const { return node_->outputs()[0]->name(); }
  bool is_quantized() const { return !quantizers_.empty(); }
  /// Returns the nodes of its quantizers.
  QuantizerSet quantizer_nodes() const;
  std::int64_t macs() const { return macs_; }  ///< per image, known after the first batch

  /// Compares its output in the float and in the quantized network.
  void add(const ConstTensor& in_float, const ConstTensor& quantized, std::int64_t images,
           const Shape& input);
  /// Compares its float output with what it gives with float inputs and its own quantizers.
  void add_alone(const ConstTensor& in_float, const ConstTensor& alone);

  /// Returns all but what needs the whole network: at_bitwidths.
  Layer result() const;
  /// Returns by which factor the squared error of its output, it alone being quantized, is
  /// estimated to grow at another bitwidth.
  double noise_at(int bitwidth) const;
  /// Returns how many quantized numbers are in its parameters, and their bytes.
  std::int64_t quantized_parameters() const;
  std::int64_t weight_bytes() const;

 private:
  Tensor through_quantizer(const ConstTensor& output) const;

  const Node* node_;
  std::vector<const WatchedQuantizer*> quantizers_;
  const WatchedQuantizer* of_output_ = nullptr;
  std::optional<Sums> sums_;
  Shape output_shape_;
  std::int64_t macs_ = 0;
  Differences accumulated_, alone_, before_output_;
};

}  // namespace rung::analysis
