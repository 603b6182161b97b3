#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "rung/core/export.h"

namespace rung::nn {

/// The interval that means the end of each epoch.
inline constexpr const char* kEveryEpoch = "epoch";

/// Says what is wrong with the text of an interval, which is epoch, never, a number of steps (500)
/// or of minutes (10m); empty if nothing is.
RUNG_API std::string check_interval(const std::string& text);

/// Knows when it is time to save something that takes long.
class RUNG_API IntervalTimer {
 public:
  /// Throws Error for a text that check_interval() refuses.
  explicit IntervalTimer(const std::string& interval);
  /// True after every so many steps, or if so much time has passed since it was last true.
  bool is_due(std::int64_t step);

 private:
  using Clock = std::chrono::steady_clock;
  std::int64_t steps_ = 0;  // 0: not by steps
  std::chrono::minutes time_{0};
  Clock::time_point last_ = Clock::now();
};

}  // namespace rung::nn
