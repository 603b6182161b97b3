#pragma once

#include "rung/graph/graph.h"

namespace rung {

/// True for an op with a weight whose output channels can be scaled and shifted one by one
/// (Traits::weighted with a bias, which the node may lack).
bool is_layer(const Node& node);

/// Returns the input of a layer that is its weight: a parameter, or what a quantizer makes of one.
Value& weight_value(const Node& layer);

/// Returns the input of a layer that is its bias; nullptr if it has none, or the node is no layer.
Value* bias_value(const Node& node);

}  // namespace rung
