#pragma once

#include <functional>

namespace rung {

/// Keeps the calling thread's team as it is: while it lives, every parallel region that the thread
/// starts, oneDNN's among them, has exactly threads() threads. Without it a runtime with
/// OMP_DYNAMIC=true starts fewer on a busy machine: work that was cut for more would be left
/// undone, and a barrier among them would wait for ever.
class Team {
 public:
  /// Takes thread_count() threads, or `at_most`.
  Team();
  explicit Team(int at_most);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int threads() const { return threads_; }
  /// Throws Error if a parallel region has another number of threads after all.
  void check() const;
  /// Calls `body`, which throws nothing, once in every thread of the team.
  void on_each(const std::function<void()>& body) const;

 private:
  int threads_, wanted_before_;
  bool dynamic_before_;
};

}  // namespace rung
