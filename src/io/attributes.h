#pragma once

#include "io/json.h"
#include "rung/graph/op.h"

namespace rung::io {

/// Returns the attributes that op.visit() shows as a JSON object.
Json attributes_to_json(Op& op);

/// Sets the op's attributes from a JSON object. Throws Error naming the place if one is missing,
/// unknown, of another type or beyond 2^31.
void attributes_from_json(Op& op, const JsonPlace& place);

}  // namespace rung::io
