#pragma once

#include <map>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

/// A learned range that training has ruined.
struct CollapsedRange {
  std::string quantizer;  ///< QuantizerHandle::name
  std::string reason;     ///< "its learned scale fell from 0.087 to 1.2e-07", or rose
};

/// Watches learned ranges while a sim trains. With a learning rate that is too large for it a range
/// shrinks to nothing, and what it quantizes with it, or grows until all is one code: training goes
/// on without an error and without a result. A range has collapsed if a scale of it fell below a
/// thousandth or rose above a thousandfold of what it was at the start, or fell to the smallest
/// there is, or is not finite.
class RUNG_API RangeWatch {
 public:
  static constexpr float kCollapsed = 1e-3f, kExploded = 1e3f;  ///< of the scale at the start

  /// Notes the present scales of the learned quantizers. The sim's graph must outlive the watch.
  explicit RangeWatch(QuantizationSimModel& sim) : RangeWatch(sim.graph()) {}
  explicit RangeWatch(Graph& graph) : RangeWatch(graph, graph) {}
  /// Watches `graph`, but notes the scales of `start`, which may go afterwards: the same network
  /// before its training, where that goes on from a checkpoint.
  RangeWatch(Graph& graph, Graph& start);

  /// Returns the quantizers that have collapsed, in network order, each of them only once. Reads a
  /// few numbers per quantizer; to be called between two steps, every now and then. Disabled
  /// quantizers, those that are not learned and those that came later are not looked at.
  std::vector<CollapsedRange> check();

 private:
  Graph* graph_;
  std::map<std::string, std::vector<float>> scales_;  // at the start, by name; not those reported
};

}  // namespace rung
