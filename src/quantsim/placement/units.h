#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rung/graph/graph.h"
#include "rung/quantsim/config.h"

namespace rung::quantsim {

/// What counts as one op for a configuration: a node, or several that spell one op out.
struct Unit {
  std::string type;                ///< an ONNX name: of the node, or of what they spell out
  std::vector<const Node*> nodes;  ///< in network order; the last one gives the output
  std::string rule = {};           ///< why several are one; empty for a single node

  const Node& first() const { return *nodes.front(); }
  const Node& last() const { return *nodes.back(); }
  const Value& output() const { return last().output(); }
  bool is_spelled_out() const { return nodes.size() > 1; }
};

/// The units of a float graph. AIMET sees PyTorch's modules where an ONNX file has a GELU's Div,
/// Erf, Add, Mul and Mul; other groups are found by the passes of supergroup_pass_list.
class Units {
 public:
  /// Finds those that config.rules and the passes ask for. The graph must outlive them.
  Units(const Graph& graph, const QuantSimConfig& config);

  /// Returns the unit that a node belongs to.
  const Unit& of(const Node& node) const { return *unit_of_.at(&node); }
  /// Returns the op type whose settings hold for a node: at the end of a unit that of the unit.
  std::string_view type_of(const Node& node) const {
    const Unit& unit = of(node);
    return &unit.last() == &node ? std::string_view(unit.type) : node.type();
  }
  /// Returns the units in the order of their first nodes.
  std::vector<const Unit*> all() const;
  /// Returns the unit that alone reads a unit's only output, or nullptr if several do, or none, or
  /// if it is also an output of the graph.
  const Unit* only_reader(const Unit& unit) const;

 private:
  const Graph& graph_;
  std::deque<Unit> units_;
  std::map<const Node*, const Unit*> unit_of_;
};

/// True for a pass of AIMET's that Units knows.
bool is_known_pass(std::string_view name);

}  // namespace rung::quantsim
