#pragma once

#include "rung/graph/graph.h"

namespace rung::quantsim {

/// Returns the quantizer behind a value, for all its readers, not one on an edge; or nullptr.
Node* value_quantizer(const Value& value);

/// Makes a copy of the quantizer `old`, which reads `value`, that is called after the value, and
/// removes the old one. A range that other quantizers share stays shared.
void rename_quantizer(Graph& graph, Node& old, Value& value);

}  // namespace rung::quantsim
