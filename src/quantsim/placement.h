#pragma once

#include <map>
#include <optional>
#include <vector>

#include "rung/graph/graph.h"
#include "rung/quantsim/config.h"

namespace rung::quantsim {

/// What the configuration decided for one place where a quantizer could stand.
struct Site {
  bool enabled = false;
  bool symmetric = false;
  bool per_channel = false;
  std::optional<EncodingConstraints> constraints = {};
};

/// The places around one node: each input (an edge, or a parameter) and each output.
struct NodeSites {
  std::vector<Site> inputs, outputs;
};

using Placement = std::map<const Node*, NodeSites>;

/// True if the value is a parameter that can have a quantizer: no statistics, no encodings.
bool is_quantizable_parameter(const Value& value);
/// Returns the last part of a parameter's name: "weight" of "layer1.0.conv1.weight".
std::string_view parameter_key(const Value& value);

/// Decides where a float graph gets quantizers, without changing it. Throws Error if two ops ask
/// for opposite settings of one place at the same level of `config`.
Placement decide_placement(const Graph& graph, const QuantSimConfig& config);

}  // namespace rung::quantsim
