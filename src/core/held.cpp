#include "rung/core/held.h"

#include "core/check.h"

namespace rung {

void detail::fail_moved_from(std::string_view owner) {
  fail("{}: this object was moved from; use the one that it was moved to", owner);
}

}  // namespace rung
