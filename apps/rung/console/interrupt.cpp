#include "console/interrupt.h"

#include <csignal>

namespace rung::cli {
namespace {

volatile std::sig_atomic_t received = 0;

void note(int signal) { received = signal; }

void install(void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
  struct sigaction before {};
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
    sigaction(SIGHUP, &action, nullptr);
}

}  // namespace

// SA_RESETHAND: the second signal finds the system's own handler, which ends the process.
InterruptGuard::InterruptGuard() {
  received = 0;
  install(note, SA_RESETHAND | SA_RESTART);
}

InterruptGuard::~InterruptGuard() { install(SIG_DFL, 0); }

std::string interrupted_by() {
  switch (received) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    default:
      return {};
  }
}

bool is_interrupted() { return !interrupted_by().empty(); }

void throw_if_interrupted() {
  const std::string signal = interrupted_by();
  if (!signal.empty()) throw Interrupted("stopped by " + signal);
}

}  // namespace rung::cli
