#include "rung/core/stop_signals.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <system_error>
#include <thread>

#include "core/check.h"
#include "core/team.h"

namespace rung {
namespace {

sigset_t signals_to_note() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  struct sigaction hangup {};
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
    sigaddset(&set, SIGHUP);
  return set;
}

/// Does what the signal does where nobody has asked for anything else: ends the process.
void die_of(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  pthread_kill(pthread_self(), signal);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace

struct StopSignals::Impl {
  Impl() { current = this; }
  ~Impl() { current = nullptr; }

  // A signal that all threads block waits for receive(). Threads that start later inherit the mask.
  void block() {
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    Team().on_each([this] { pthread_sigmask(SIG_BLOCK, &signals, nullptr); });
  }

  void restore() {
    Team().on_each([this] { pthread_sigmask(SIG_SETMASK, &before, nullptr); });
  }

  // Threads that were started by others before do not block signals: what comes to them is noted,
  // too. A handler may only do what note() does.
  void handle() {
    struct sigaction action {};
    action.sa_handler = [](int signal) {
      if (Impl* impl = current; impl != nullptr) impl->note(signal);
    };
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (int signal = 1; signal < kSignals; ++signal)
      if (sigismember(&signals, signal) == 1) sigaction(signal, &action, &handlers[signal]);
  }

  void handle_as_before() {
    for (int signal = 1; signal < kSignals; ++signal)
      if (sigismember(&signals, signal) == 1) sigaction(signal, &handlers[signal], nullptr);
  }

  void note(int signal) {
    int none = 0;
    if (!first.compare_exchange_strong(none, signal)) die_of(signal);
  }

  void receive() {
    while (true) {
      int signal = 0;
      if (sigwait(&signals, &signal) != 0) continue;
      if (done) return;
      note(signal);
    }
  }

  const sigset_t signals = signals_to_note();
  sigset_t before = {};
  static constexpr int kSignals = 32;  // those that are no real-time signals
  struct sigaction handlers[kSignals] = {};
  static std::atomic<Impl*> current;
  std::atomic<int> first = 0;
  std::atomic<bool> done = false;
  std::thread thread;
};

std::atomic<StopSignals::Impl*> StopSignals::Impl::current = nullptr;

StopSignals::StopSignals() : impl_(std::make_unique<Impl>()) {
  impl_->block();
  try {
    impl_->thread = std::thread([impl = impl_.get()] { impl->receive(); });
  } catch (const std::system_error& error) {
    impl_->restore();
    fail("StopSignals: cannot start a thread: {}", error.code().message());
  }
  impl_->handle();
}

StopSignals::~StopSignals() {
  impl_->done = true;
  pthread_kill(impl_->thread.native_handle(), SIGTERM);
  impl_->thread.join();
  impl_->handle_as_before();
  impl_->restore();
}

std::string_view StopSignals::received() const {
  switch (impl_->first) {
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

}  // namespace rung
