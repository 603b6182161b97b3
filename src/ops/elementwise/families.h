#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/op.h"

// Ops that are rows of a family (rung/ops/functions.h). make_op() looks here, too.

namespace rung {

/// An op of a family.
struct FamilyMember {
  std::string_view type;
  std::unique_ptr<Op> (*make)();
};

/// Each lists its family, sorted by name.
RUNG_API const std::vector<FamilyMember>& unary_functions();
RUNG_API const std::vector<FamilyMember>& binary_functions();
RUNG_API const std::vector<FamilyMember>& reductions();

/// Returns the members of a family whose ops are the types `T...`.
template <typename... T>
std::vector<FamilyMember> members() {
  return {{T::kType, [] { return std::unique_ptr<Op>(std::make_unique<T>()); }}...};
}

/// Makes a member of a family; throws Error naming all of them if there is none of this type.
std::unique_ptr<Op> make_member(const std::vector<FamilyMember>& family, std::string_view type);

}  // namespace rung
