#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/nn/optim.h"

namespace rung::nn {

/// A learning rate as a function of a group's initial rate and of the time t: epochs or steps, as
/// the caller counts; fractions are fine. It has no state, so a resumed run needs nothing but t.
using LrSchedule = std::function<double(double initial_lr, double t)>;

/// Keeps the initial rate.
struct RUNG_API ConstantLR {
  double operator()(double initial_lr, double t) const;
};

/// Multiplies the rate by gamma after every `step_size`. torch.optim.lr_scheduler.StepLR.
struct RUNG_API StepLR {
  double step_size = 30;
  double gamma = 0.1;
  double operator()(double initial_lr, double t) const;
};

/// Multiplies the rate by gamma at every milestone. torch.optim.lr_scheduler.MultiStepLR.
struct RUNG_API MultiStepLR {
  std::vector<double> milestones = {};  ///< in any order
  double gamma = 0.1;
  double operator()(double initial_lr, double t) const;
};

/// Follows half a cosine from the initial rate at 0 to eta_min at t_max, and stays there (where
/// PyTorch's rises again). torch.optim.lr_scheduler.CosineAnnealingLR (Loshchilov and Hutter 2017).
struct RUNG_API CosineAnnealingLR {
  double t_max = 1;
  double eta_min = 0.0;
  double operator()(double initial_lr, double t) const;
};

/// Rises linearly from start_factor times the initial rate at 0 to that rate at `length`, then runs
/// `then` with the time counted from there. torch: SequentialLR of LinearLR and `then`.
struct RUNG_API LinearWarmup {
  double length = 0;
  double start_factor = 1.0 / 3.0;
  LrSchedule then = ConstantLR{};
  double operator()(double initial_lr, double t) const;
};

/// Gives every group of the optimizer the learning rate of time t.
RUNG_API void apply_schedule(const LrSchedule& schedule, double t, Optimizer& optimizer);

/// What a command line knows about a schedule; all times in one unit.
struct ScheduleOptions {
  double length = 1;                    ///< of the whole run: cosine ends there
  double step_size = 30;                ///< step
  std::vector<double> milestones = {};  ///< multistep; empty means 1/2 and 3/4 of the run (He 2016)
  double gamma = 0.1;                   ///< step, multistep
  double eta_min = 0.0;                 ///< cosine
  double warmup = 0;                    ///< before any of them; 0 means none; part of `length`
  double warmup_start_factor = 1.0 / 3.0;
};

/// Makes a schedule by name, one of schedule_names(). Milestones count from the start of the run,
/// warm-up included. Throws Error for an unknown name or options that make no sense.
RUNG_API LrSchedule make_schedule(std::string_view name, const ScheduleOptions& options);
/// Lists "constant", "cosine", "multistep", "step".
RUNG_API std::vector<std::string> schedule_names();

}  // namespace rung::nn
