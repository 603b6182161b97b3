#pragma once

#include <span>
#include <string_view>

#include "io/files/json.h"
#include "rung/graph/op.h"

namespace rung::io {

/// Returns the attributes that op.visit() shows as a JSON object.
Json attributes_to_json(Op& op);

/// What a missing attribute is: an error, or one that did not exist yet when the file was written
/// and has kept its default.
enum class Missing { refuse, keep_default };

/// Sets the op's attributes from a JSON object. Throws Error naming the place if one is missing
/// (those in `optional` may always be), unknown, of another type or beyond 2^31.
void attributes_from_json(Op& op, const JsonPlace& place, Missing missing = Missing::refuse,
                          std::span<const std::string_view> optional = {});

}  // namespace rung::io
