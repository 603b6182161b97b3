#include <Eigen/Core>
#include <cmath>

#include "core/format.h"
#include "rung/core/parallel.h"
#include "rung/nn/optim.h"

namespace rung::nn {
namespace {

constexpr std::int64_t kGrain = 1 << 13;

using Array = Eigen::Map<Eigen::ArrayXf>;
using ConstArray = Eigen::Map<const Eigen::ArrayXf>;

AdamOptions checked(const AdamOptions& options) {
  require(options.beta1 >= 0.0 && options.beta1 < 1.0, "adam: beta1 must be in [0, 1), got {}",
          options.beta1);
  require(options.beta2 >= 0.0 && options.beta2 < 1.0, "adam: beta2 must be in [0, 1), got {}",
          options.beta2);
  require(std::isfinite(options.eps) && options.eps >= 0.0,
          "adam: eps must be finite and not negative, got {}", options.eps);
  require(std::isfinite(options.weight_decay) && options.weight_decay >= 0.0,
          "adam: weight_decay must be finite and not negative, got {}", options.weight_decay);
  return options;
}

struct Coefficients {
  float step_size, beta1, one_minus_beta1, beta2, one_minus_beta2;
  float root_correction, eps, weight_decay;
};

// p: parameter, g: its gradient, m and v: running means of g and of g^2.
void update_range(Array p, ConstArray g, Array m, Array v, Coefficients c) {
  const auto d = g + c.weight_decay * p;  // an expression: evaluated element by element below
  m = c.beta1 * m + c.one_minus_beta1 * d;
  v = c.beta2 * v + c.one_minus_beta2 * d * d;
  p -= c.step_size * (m / (v.sqrt() / c.root_correction + c.eps));
}

}  // namespace

Adam::Adam(const std::vector<Parameter*>& parameters, const AdamOptions& options)
    : Adam(std::vector<Group>{{parameters, options}}) {}

Adam::Adam(const std::vector<Group>& groups) : Optimizer("adam", {"exp_avg", "exp_avg_sq"}) {
  for (const Group& group : groups) {
    options_.push_back(checked(group.options));
    add_group(group.parameters, group.options.lr);
  }
}

void Adam::update(std::size_t group, Slot& slot) {
  const AdamOptions& options = options_[group];
  if (slot.buffers.empty()) allocate_buffers(slot);
  // Both means start at zero: dividing by 1 - beta^steps makes them unbiased. The powers are taken
  // in double; in float 1 - 0.999^1 has only four digits.
  const double steps = static_cast<double>(slot.steps);
  const double correction1 = 1.0 - std::pow(options.beta1, steps);
  const double correction2 = 1.0 - std::pow(options.beta2, steps);
  const Coefficients coefficients{
      .step_size = static_cast<float>(lr(group) / correction1),
      .beta1 = static_cast<float>(options.beta1),
      .one_minus_beta1 = static_cast<float>(1.0 - options.beta1),
      .beta2 = static_cast<float>(options.beta2),
      .one_minus_beta2 = static_cast<float>(1.0 - options.beta2),
      .root_correction = static_cast<float>(std::sqrt(correction2)),
      .eps = static_cast<float>(options.eps),
      .weight_decay = static_cast<float>(options.weight_decay),
  };
  const float* gradient = slot.parameter->grad().data().data();
  float* value = slot.parameter->edit().data().data();
  float* mean = slot.buffers[0].data().data();
  float* square = slot.buffers[1].data().data();
  parallel_for(slot.parameter->shape().numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    const Eigen::Index count = end - begin;
    update_range(Array(value + begin, count), ConstArray(gradient + begin, count),
                 Array(mean + begin, count), Array(square + begin, count), coefficients);
  });
}

}  // namespace rung::nn
