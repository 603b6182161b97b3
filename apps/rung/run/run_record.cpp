#include "run/run_record.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <string>
#include <vector>

#include "console/messages.h"
#include "console/utf8.h"
#include "rung/core/error.h"

namespace rung::cli {
namespace {

// A run may go on with another number of threads; only the last bits of its result depend on it.
constexpr const char* kThreads = "--threads";
constexpr const char* kNever = "never";

}  // namespace

Configuration storable(Configuration configuration) {
  for (auto& [key, value] : configuration) value = to_utf8(value);
  return configuration;
}

void check_same(const Configuration& was, const Configuration& is, const std::string& path) {
  std::vector<std::string> differences;
  for (const auto& [key, value] : is) {
    const auto found = was.find(key);
    const std::string old = found == was.end() ? "unknown" : found->second;
    if (old == value) continue;
    if (key == kThreads)
      warn(fmt::format(
          "{} was written with {} threads, this run has {}: the last bits of the result "
          "may differ from an uninterrupted run's",
          path, old, value));
    else
      differences.push_back(fmt::format("{} was {}, is {}", key, old, value));
  }
  for (const auto& [key, value] : was)
    if (!is.contains(key))
      differences.push_back(fmt::format("{} was {}, is not given", key, value));
  if (!differences.empty())
    throw Error(fmt::format("{} belongs to a run that was told something else: {}", path,
                            fmt::join(differences, "; ")));
}

std::string check_interval(const std::string& text) {
  if (text == kEpoch || text == kNever) return {};
  const std::string digits = text.substr(0, text.size() - (text.ends_with("m") ? 1 : 0));
  const bool is_count = !digits.empty() && digits.size() <= 9 &&
                        digits.find_first_not_of("0123456789") == std::string::npos &&
                        digits.find_first_not_of('0') != std::string::npos;
  return is_count
             ? ""
             : fmt::format("must be {}, {}, a number of steps (500) or of minutes (10m), got {}",
                           kEpoch, kNever, text);
}

IntervalTimer::IntervalTimer(const std::string& interval) {
  if (const std::string wrong = check_interval(interval); !wrong.empty())
    throw Error("--checkpoint-every " + wrong);
  if (interval == kEpoch || interval == kNever) return;
  const std::int64_t number = std::stoll(interval);  // stops at the m
  if (interval.ends_with("m"))
    time_ = std::chrono::minutes(number);
  else
    steps_ = number;
}

bool IntervalTimer::is_due(std::int64_t step) {
  const Clock::time_point now = Clock::now();
  const bool due = steps_ > 0 ? step % steps_ == 0 : time_.count() > 0 && now - last_ >= time_;
  if (due) last_ = now;
  return due;
}

}  // namespace rung::cli
