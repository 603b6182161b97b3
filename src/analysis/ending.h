#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "analysis/switches.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"

namespace rung::analysis {

/// The values of a network for one batch, by name.
using Values = std::map<std::string, Tensor, std::less<>>;

/// Which part of a network depends on some quantizers, and where it begins: before quantizers, and
/// ops that only move numbers, wherever they lie on the way, so that it computes with codes where
/// the whole network does.
struct EndingPlan {
  std::vector<std::string> inputs;   ///< values that do not depend on the quantizers
  std::vector<std::string> outputs;  ///< the network's outputs that do
  std::set<std::string> nodes;       ///< that run again
  /// Throws Error for a name that is no node of the graph.
  EndingPlan(const Graph& graph, const QuantizerSet& quantizers);
};

/// That part, compiled: the network from there to its outputs.
class Ending {
 public:
  /// Shares the graph's parameters. `watched` are values that value() returns after run(), those of
  /// them that it computes. The plan has outputs.
  Ending(const Graph& graph, const EndingPlan& plan, const std::vector<std::string>& watched);

  /// Runs with exactly these quantizers; returns the outputs of EndingPlan::outputs.
  std::vector<Tensor> run(const Values& values, const QuantizerSet& enabled);
  /// True if the value was computed by run(), and may be asked for.
  bool has(const std::string& value) const;
  Tensor value(const std::string& name) const { return executor_.value(name); }
  /// Returns about how much memory it takes, after run().
  std::size_t bytes() const;

 private:
  Graph graph_;
  Executor executor_;
  std::vector<std::string> inputs_;
};

}  // namespace rung::analysis
