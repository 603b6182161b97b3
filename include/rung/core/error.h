#pragma once

#include <stdexcept>
#include <string>

#include "rung/core/export.h"

namespace rung {

/// Reports a wrong call, a wrong file or wrong data: who, what was expected, what came, and if
/// possible the remedy. A broken invariant of the library itself is an assert instead.
class RUNG_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

}  // namespace rung
