#include "rung/nn/lr_scheduler.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/check.h"
#include "core/join.h"

namespace rung::nn {

double ConstantLR::operator()(double initial_lr, double) const { return initial_lr; }

double StepLR::operator()(double initial_lr, double t) const {
  return initial_lr * std::pow(gamma, std::floor(t / step_size));
}

double MultiStepLR::operator()(double initial_lr, double t) const {
  const auto passed = std::ranges::count_if(milestones, [t](double m) { return t >= m; });
  return initial_lr * std::pow(gamma, static_cast<double>(passed));
}

double CosineAnnealingLR::operator()(double initial_lr, double t) const {
  const double progress = std::clamp(t / t_max, 0.0, 1.0);
  return eta_min + (initial_lr - eta_min) * (1.0 + std::cos(std::numbers::pi * progress)) / 2.0;
}

double LinearWarmup::operator()(double initial_lr, double t) const {
  if (t >= length) return then(initial_lr, t - length);
  return initial_lr * (start_factor + (1.0 - start_factor) * t / length);
}

void apply_schedule(const LrSchedule& schedule, double t, Optimizer& optimizer) {
  for (std::size_t group = 0; group < optimizer.group_count(); ++group)
    optimizer.set_lr(group, schedule(optimizer.initial_lr(group), t));
}

LrSchedule make_schedule(std::string_view name, const ScheduleOptions& options) {
  const auto positive = [name](double value, std::string_view what) {
    require(std::isfinite(value) && value > 0.0, "schedule {}: {} must be positive, got {}", name,
            what, value);
  };
  const auto not_negative = [name](double value, std::string_view what) {
    require(std::isfinite(value) && value >= 0.0, "schedule {}: {} must not be negative, got {}",
            name, what, value);
  };
  positive(options.length, "length");
  not_negative(options.warmup, "warmup");
  not_negative(options.warmup_start_factor, "warmup_start_factor");
  require(options.warmup < options.length,
          "schedule {}: a warm-up of {} leaves nothing of a run of {}", name, options.warmup,
          options.length);

  LrSchedule schedule;
  if (name == "constant") {
    schedule = ConstantLR{};
  } else if (name == "cosine") {
    not_negative(options.eta_min, "eta_min");
    schedule = CosineAnnealingLR{options.length - options.warmup, options.eta_min};
  } else if (name == "step") {
    positive(options.step_size, "step_size");
    not_negative(options.gamma, "gamma");
    schedule = StepLR{options.step_size, options.gamma};
  } else if (name == "multistep") {
    not_negative(options.gamma, "gamma");
    std::vector<double> milestones = options.milestones;
    if (milestones.empty()) milestones = {0.5 * options.length, 0.75 * options.length};
    for (double& milestone : milestones) {
      not_negative(milestone, "milestone");
      milestone -= options.warmup;  // the warm-up counts its successor's time from its own end
    }
    schedule = MultiStepLR{std::move(milestones), options.gamma};
  } else {
    fail("unknown schedule '{}'; there are: {}", name, join(schedule_names()));
  }
  if (options.warmup == 0.0) return schedule;
  return LinearWarmup{options.warmup, options.warmup_start_factor, std::move(schedule)};
}

std::vector<std::string> schedule_names() { return {"constant", "cosine", "multistep", "step"}; }

}  // namespace rung::nn
