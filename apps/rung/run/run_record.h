#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

// What every run that saves itself has to do with: when it is time to, and what it was told.

namespace rung::cli {

/// What a run was told, as far as its result depends on it: option -> value.
using Configuration = std::map<std::string, std::string>;

/// Returns the configuration as it can be stored: names of files need not be UTF-8.
Configuration storable(Configuration configuration);

/// Throws Error, beginning with the path, that lists what a checkpoint's run was told otherwise.
/// Another number of threads is only worth a warning.
void check_same(const Configuration& was, const Configuration& is, const std::string& path);

/// The value of --checkpoint-every that means the end of each epoch.
inline constexpr const char* kEpoch = "epoch";
/// Says what is wrong with a value of --checkpoint-every: epoch, never, 500 (steps), 10m (minutes).
std::string check_interval(const std::string& text);

/// Knows when it is time to save.
class IntervalTimer {
 public:
  explicit IntervalTimer(const std::string& interval);
  /// True after every so many steps, or if so much time has passed since it was last true.
  bool is_due(std::int64_t step);

 private:
  using Clock = std::chrono::steady_clock;
  std::int64_t steps_ = 0;  // 0: not by steps
  std::chrono::minutes time_{0};
  Clock::time_point last_ = Clock::now();
};

}  // namespace rung::cli
