#include "rung/nn/interval.h"

#include "core/check.h"

namespace rung::nn {
namespace {

constexpr const char* kNever = "never";

}  // namespace

std::string check_interval(const std::string& text) {
  if (text == kEveryEpoch || text == kNever) return {};
  const std::string digits = text.substr(0, text.size() - (text.ends_with("m") ? 1 : 0));
  const bool is_count = !digits.empty() && digits.size() <= 9 &&
                        digits.find_first_not_of("0123456789") == std::string::npos &&
                        digits.find_first_not_of('0') != std::string::npos;
  return is_count
             ? ""
             : fmt::format("must be {}, {}, a number of steps (500) or of minutes (10m), got {}",
                           kEveryEpoch, kNever, text);
}

IntervalTimer::IntervalTimer(const std::string& interval) {
  const std::string wrong = check_interval(interval);
  require(wrong.empty(), "an interval between checkpoints {}", wrong);
  if (interval == kEveryEpoch || interval == kNever) return;
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

}  // namespace rung::nn
