#pragma once

#include <stdexcept>
#include <string>

namespace rung::cli {

/// The exit code of a run that a signal has ended, with everything saved.
inline constexpr int kInterrupted = 3;

/// Ends a command with exit code kInterrupted and this message.
class Interrupted : public std::runtime_error {
 public:
  explicit Interrupted(const std::string& message) : std::runtime_error(message) {}
};

/// While one lives, SIGINT, SIGTERM and SIGHUP (a closed terminal) are only noted, so that a step
/// can be finished and saved; a second signal ends the process at once, as if there were no guard.
/// SIGHUP stays ignored if it was (nohup). There may be one at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

/// Returns the name of the signal that came ("SIGTERM"), or an empty text.
std::string interrupted_by();
bool is_interrupted();
/// Throws Interrupted if one came: for work of which nothing can be saved.
void throw_if_interrupted();

}  // namespace rung::cli
