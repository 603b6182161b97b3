#pragma once

#include <stdexcept>
#include <string>

#include "rung/core/export.h"

namespace rung {

/// Reports a wrong call, a wrong file or wrong data: who, what was expected, what came, and if
/// possible the remedy. A broken invariant of the library itself is an assert instead. The text is
/// one line that a terminal may show, of at most about a thousand bytes, whatever the message that
/// it is made from: names in files can be anything (printable(), shortened()).
class RUNG_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message);
};

}  // namespace rung
