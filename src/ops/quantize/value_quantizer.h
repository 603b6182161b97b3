#pragma once

#include "rung/graph/graph.h"

namespace rung {

/// Returns the quantizer behind a value, for all its readers, not one on an edge; or nullptr.
Node* value_quantizer(const Value& value);

/// Returns the nearest quantizer at or before a value that is enabled and rounds, from which only
/// ops lead here that keep its grid; or nullptr.
Node* grid_quantizer(const Value& value);

}  // namespace rung
