#pragma once

#include "rung/graph/graph.h"
#include "rung/quantsim/config.h"
#include "rung/quantsim/quantsim.h"

namespace rung::quantsim {

/// Adds a QuantizeDequantize node wherever `config` wants one: <value>.qdq behind a value,
/// <node>.input<i>.qdq on one edge, <parameter>.qdq between a parameter and its op; with parameters
/// <that>.min and <that>.max. Throws Error if placement contradicts itself or a bitwidth is wrong.
void insert_quantizers(Graph& graph, const QuantSimConfig& config, const QuantSimOptions& options);

}  // namespace rung::quantsim
