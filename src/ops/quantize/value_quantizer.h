#pragma once

#include "rung/graph/graph.h"

namespace rung {

/// Returns the quantizer behind a value, for all its readers, not one on an edge; or nullptr.
Node* value_quantizer(const Value& value);

}  // namespace rung
