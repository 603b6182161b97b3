#pragma once

#include <string>

#include "rung/core/error.h"

/// Returns the message of the Error that `call` throws, or "no Error".
inline std::string message_of(const auto& call) {
  try {
    call();
  } catch (const rung::Error& error) {
    return error.what();
  }
  return "no Error";
}
