#include "run/qat_recipe.h"

#include <algorithm>

#include "rung/quant/registry.h"

namespace rung::cli {
namespace {

constexpr double kUsualLr = 1e-3;
// Folded layers have lost the batch norms that made them bear larger rates.
constexpr double kLargestDefaultLr = 5e-3;

}  // namespace

double first_lr(const QatRecipe& qat, const Task& task) {
  return qat.lr.value_or(std::min(task.last_lr.value_or(kUsualLr), kLargestDefaultLr));
}

std::vector<OptimizerGroup> groups_of(const QuantizationSimModel& sim, const QatRecipe& qat,
                                      double lr) {
  std::vector<OptimizerGroup> groups(2);
  groups[0].lr = lr;
  groups[0].weight_decay = qat.recipe.weight_decay;
  const double share = make_quantizer(sim.options().quant_scheme.quantizer)->default_lr_share();
  groups[1].lr = qat.lr_encodings.value_or(lr * share);
  for (Parameter* parameter : sim.graph().parameters())
    groups[parameter->role() == Role::encoding ? 1 : 0].parameters.push_back(parameter);
  return groups;
}

}  // namespace rung::cli
