#include "ops/elementwise/families.h"

#include "core/check.h"
#include "core/join.h"

namespace rung {

std::unique_ptr<Op> make_member(const std::vector<FamilyMember>& family, std::string_view type) {
  std::vector<std::string_view> types;
  for (const FamilyMember& member : family) {
    if (member.type == type) return member.make();
    types.push_back(member.type);
  }
  fail("there is no function {}: there are {}", type, join(types));
}

}  // namespace rung
