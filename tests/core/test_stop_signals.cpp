#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

#include "core/team.h"
#include "rung/core/parallel.h"
#include "rung/core/stop_signals.h"

using namespace rung;

namespace {

bool soon(const std::function<bool()>& happens) {
  for (int i = 0; i < 2000 && !happens(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return happens();
}

/// Returns how many of the threads that compute for this one let the signal through.
int threads_open_to(int signal) {
  std::atomic<int> open = 0;
  Team().on_each([&] {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    open += sigismember(&blocked, signal) == 0;
  });
  return open;
}

/// Returns how a child that does this ends, as waitpid() says it.
int end_of_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_SUITE("core") {
  TEST_CASE("signals are noted, the first one is told, and none meets a thread that computes") {
    parallel_for(64, 1, [](std::int64_t, std::int64_t) {});  // OpenMP's threads are there before
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    const int open = threads_open_to(SIGTERM);
    const auto hangup =
        std::signal(SIGHUP, SIG_DFL);  // whatever starts the tests: nohup ignores it
    {
      const StopSignals signals;
      CHECK(signals.received().empty());
      for (const int signal : {SIGINT, SIGTERM, SIGHUP}) CHECK(threads_open_to(signal) == 0);
      kill(getpid(), SIGTERM);
      REQUIRE(soon([&] { return !signals.received().empty(); }));
      CHECK(signals.received() == "SIGTERM");
    }
    std::signal(SIGHUP, hangup);
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    CHECK(sigismember(&after, SIGTERM) == sigismember(&before, SIGTERM));
    CHECK(threads_open_to(SIGTERM) == open);
    const StopSignals again;
    CHECK(again.received().empty());
  }

  TEST_CASE("a signal that comes to a thread of somebody else is noted") {
    std::atomic<bool> done = false;
    std::thread other([&] {
      while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
    struct sigaction before {
    }, now{};
    sigaction(SIGTERM, nullptr, &before);
    {
      const StopSignals signals;
      pthread_kill(other.native_handle(), SIGTERM);
      CHECK(soon([&] { return signals.received() == "SIGTERM"; }));
    }
    sigaction(SIGTERM, nullptr, &now);
    CHECK((now.sa_handler == before.sa_handler));
    done = true;
    other.join();
  }

  TEST_CASE("the second signal ends the process, whichever was the first") {
    const int status = end_of_child([] {
      const StopSignals signals;
      kill(getpid(), SIGINT);
      soon([&] { return signals.received() == "SIGINT"; });
      kill(getpid(), SIGTERM);
      std::this_thread::sleep_for(std::chrono::seconds(20));
    });
    REQUIRE(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGTERM);
  }

  TEST_CASE("a signal that was ignored as nohup does stays ignored") {
    const int status = end_of_child([] {
      signal(SIGHUP, SIG_IGN);
      const StopSignals signals;
      kill(getpid(), SIGHUP);
      kill(getpid(), SIGINT);
      soon([&] { return !signals.received().empty(); });
      _exit(signals.received() == "SIGINT" ? 7 : 8);
    });
    CHECK(WEXITSTATUS(status) == 7);
  }
}
