#include <Eigen/Core>
#include <cmath>

#include "core/check.h"
#include "rung/core/parallel.h"
#include "rung/nn/optim.h"

namespace rung::nn {
namespace {

constexpr std::int64_t kGrain = 1 << 13;

using Array = Eigen::Map<Eigen::ArrayXf>;
using ConstArray = Eigen::Map<const Eigen::ArrayXf>;

/// Both optimizers' options, checked; `who` is the optimizer that errors name.
template <typename Options>
Options checked(std::string_view who, const Options& options) {
  require(options.beta1 >= 0.0 && options.beta1 < 1.0, "{}: beta1 must be in [0, 1), got {}", who,
          options.beta1);
  require(options.beta2 >= 0.0 && options.beta2 < 1.0, "{}: beta2 must be in [0, 1), got {}", who,
          options.beta2);
  require(std::isfinite(options.eps) && options.eps >= 0.0,
          "{}: eps must be finite and not negative, got {}", who, options.eps);
  require(std::isfinite(options.weight_decay) && options.weight_decay >= 0.0,
          "{}: weight_decay must be finite and not negative, got {}", who, options.weight_decay);
  return options;
}

struct Coefficients {
  float step_size, beta1, one_minus_beta1, beta2, one_minus_beta2;
  float root_correction, eps;
  float weight_decay;  // added to the gradient
  float keep;          // what the parameter is multiplied by before its step
};

// p: parameter, g: its gradient, m and v: running means of g and of g^2.
void update_range(Array p, ConstArray g, Array m, Array v, Coefficients c) {
  const auto d = g + c.weight_decay * p;  // an expression: evaluated element by element below
  m = c.beta1 * m + c.one_minus_beta1 * d;
  v = c.beta2 * v + c.one_minus_beta2 * d * d;
  p = c.keep * p - c.step_size * (m / (v.sqrt() / c.root_correction + c.eps));
}

// Both means start at zero: dividing by 1 - beta^steps makes them unbiased. The powers are taken
// in double; in float 1 - 0.999^1 has only four digits.
template <typename Options>
Coefficients coefficients(const Options& options, double lr, std::int64_t steps) {
  const double count = static_cast<double>(steps);
  const double correction1 = 1.0 - std::pow(options.beta1, count);
  const double correction2 = 1.0 - std::pow(options.beta2, count);
  return {
      .step_size = static_cast<float>(lr / correction1),
      .beta1 = static_cast<float>(options.beta1),
      .one_minus_beta1 = static_cast<float>(1.0 - options.beta1),
      .beta2 = static_cast<float>(options.beta2),
      .one_minus_beta2 = static_cast<float>(1.0 - options.beta2),
      .root_correction = static_cast<float>(std::sqrt(correction2)),
      .eps = static_cast<float>(options.eps),
      .weight_decay = 0.0f,
      .keep = 1.0f,
  };
}

void move(Parameter& parameter, std::vector<Tensor>& means, const Coefficients& coefficients) {
  const float* gradient = parameter.grad().data().data();
  float* value = parameter.edit().data().data();
  float* mean = means[0].data().data();
  float* square = means[1].data().data();
  parallel_for(parameter.shape().numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    const Eigen::Index count = end - begin;
    update_range(Array(value + begin, count), ConstArray(gradient + begin, count),
                 Array(mean + begin, count), Array(square + begin, count), coefficients);
  });
}

}  // namespace

Adam::Adam(const std::vector<Parameter*>& parameters, const AdamOptions& options)
    : Adam(std::vector<Group>{{parameters, options}}) {}

Adam::Adam(const std::vector<Group>& groups) : Optimizer("adam", {"exp_avg", "exp_avg_sq"}) {
  for (const Group& group : groups) {
    options_.push_back(checked("adam", group.options));
    add_group(group.parameters, group.options.lr);
  }
}

void Adam::update(std::size_t group, Slot& slot) {
  if (slot.buffers.empty()) allocate_buffers(slot);
  Coefficients c = coefficients(options_[group], lr(group), slot.steps);
  c.weight_decay = static_cast<float>(options_[group].weight_decay);
  move(*slot.parameter, slot.buffers, c);
}

AdamW::AdamW(const std::vector<Parameter*>& parameters, const AdamWOptions& options)
    : AdamW(std::vector<Group>{{parameters, options}}) {}

AdamW::AdamW(const std::vector<Group>& groups) : Optimizer("adamw", {"exp_avg", "exp_avg_sq"}) {
  for (const Group& group : groups) {
    options_.push_back(checked("adamw", group.options));
    add_group(group.parameters, group.options.lr);
  }
}

void AdamW::update(std::size_t group, Slot& slot) {
  if (slot.buffers.empty()) allocate_buffers(slot);
  Coefficients c = coefficients(options_[group], lr(group), slot.steps);
  c.keep = static_cast<float>(1.0 - lr(group) * options_[group].weight_decay);
  move(*slot.parameter, slot.buffers, c);
}

}  // namespace rung::nn
