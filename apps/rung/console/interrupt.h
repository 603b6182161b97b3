#pragma once

#include <stdexcept>
#include <string>

#include "rung/core/stop_signals.h"

namespace rung::cli {

/// The exit code of a run that a signal has ended, with everything saved.
inline constexpr int kInterrupted = 3;

/// Ends a command with exit code kInterrupted and this message.
class Interrupted : public std::runtime_error {
 public:
  explicit Interrupted(const std::string& message) : std::runtime_error(message) {}
};

/// While one lives, signals are noted as StopSignals says.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  StopSignals signals_;
};

/// Returns the name of the signal that came ("SIGTERM"), or an empty text.
std::string interrupted_by();
bool is_interrupted();
/// Throws Interrupted if one came: for work of which nothing can be saved.
void throw_if_interrupted();

}  // namespace rung::cli
