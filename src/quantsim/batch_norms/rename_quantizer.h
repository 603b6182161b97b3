#pragma once

#include "rung/graph/graph.h"

namespace rung::quantsim {

/// Makes a copy of the quantizer `old`, which reads `value`, that is called after the value, and
/// removes the old one. A range that other quantizers share stays shared.
void rename_quantizer(Graph& graph, Node& old, Value& value);

}  // namespace rung::quantsim
