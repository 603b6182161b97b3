#include "console/interrupt.h"

namespace rung::cli {
namespace {

const StopSignals* current = nullptr;

}  // namespace

InterruptGuard::InterruptGuard() { current = &signals_; }

InterruptGuard::~InterruptGuard() { current = nullptr; }

std::string interrupted_by() { return std::string(current == nullptr ? "" : current->received()); }

bool is_interrupted() { return !interrupted_by().empty(); }

void throw_if_interrupted() {
  const std::string signal = interrupted_by();
  if (!signal.empty()) throw Interrupted("stopped by " + signal);
}

}  // namespace rung::cli
