#pragma once

#include <optional>
#include <vector>

#include "run/recipe.h"
#include "run/task.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {

inline constexpr Recorded kOrDefault{.when = Recorded::When::always, .unset = "default"};

/// How weights and ranges are moved with quantizers in place: what qat and trace have in common.
struct QatRecipe {
  // AIMET's recipe for quantization-aware training.
  Recipe recipe{.epochs = 15, .weight_decay = 1e-4, .schedule = "step", .step_size = 5};
  std::optional<double> lr, lr_encodings;

  template <typename V>
  void visit(V& v) {
    v.group("Training");
    v.option("--lr X", lr,
             "initial learning rate; default: that of the last float epoch, at most 0.005",
             at_least(0), kOrDefault);
    v.option("--lr-encodings X", lr_encodings,
             "learning rate of the ranges; default: a tenth of --lr, with LSQ a twentieth",
             at_least(0), kOrDefault);
    recipe.visit(v);
  }
};

/// Returns the learning rate to begin with.
double first_lr(const QatRecipe& qat, const Task& task);

/// Returns the groups of a sim's parameters, weights and ranges; batch norm statistics are left out
/// by the optimizer.
std::vector<OptimizerGroup> groups_of(const QuantizationSimModel& sim, const QatRecipe& qat,
                                      double lr);

}  // namespace rung::cli
