#pragma once

#include <string_view>
#include <utility>

#include "rung/core/export.h"

namespace rung {

namespace detail {
[[noreturn]] RUNG_API void fail_moved_from(std::string_view owner);
}  // namespace detail

/// The smart pointer behind a movable object. An object that was moved from has nothing behind it:
/// using it throws Error, naming the class, which the pointee has as kOwner.
template <typename Pointer>
class Held : public Pointer {
 public:
  using Element = typename Pointer::element_type;
  using Pointer::Pointer;
  Held(Pointer pointer) : Pointer(std::move(pointer)) {}  // NOLINT: as what it is made of

  Element& operator*() const {
    if (this->get() == nullptr) detail::fail_moved_from(Element::kOwner);
    return *this->get();
  }
  Element* operator->() const { return &**this; }
};

}  // namespace rung
