#pragma once

#include <memory>
#include <string_view>

#include "rung/core/export.h"

namespace rung {

/// While one lives, SIGINT, SIGTERM and SIGHUP (a closed terminal) are only noted, so that a step
/// of training can be finished and saved; a second signal ends the process at once, as if there
/// were no StopSignals. SIGHUP stays ignored if it was (nohup). There may be one at a time.
///
/// The signals are received by a thread of its own; the calling thread, its OpenMP threads and
/// those that they start block them. A handler of your own that runs in a thread that computes has
/// to be installed with SA_ONSTACK on a stack of sigaltstack(): the matrix products of oneDNN
/// before 3.12 let the stack pointer point into the heap, and a handler would write there
/// (oneDNN's issue 4845).
class RUNG_API StopSignals {
 public:
  /// Throws Error if the thread cannot be started.
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Returns the first signal that came ("SIGTERM"), or an empty text.
  std::string_view received() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rung
