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

struct Coefficients {
  float lr, momentum, weight_decay;
};

// One chunk, small enough that what the first line writes is still in cache for the second.
void update_range(Array p, ConstArray g, Array b, bool first, const SgdOptions& options,
                  Coefficients c) {
  const auto d = g + c.weight_decay * p;  // an expression: evaluated element by element below
  if (options.momentum == 0.0) {
    p -= c.lr * d;
    return;
  }
  if (first)
    b = d;
  else
    b = c.momentum * b + d;
  if (options.nesterov)
    p -= c.lr * (d + c.momentum * b);
  else
    p -= c.lr * b;
}

SgdOptions checked(const SgdOptions& options) {
  require(std::isfinite(options.momentum) && options.momentum >= 0.0,
          "sgd: momentum must be finite and not negative, got {}", options.momentum);
  require(std::isfinite(options.weight_decay) && options.weight_decay >= 0.0,
          "sgd: weight_decay must be finite and not negative, got {}", options.weight_decay);
  require(!options.nesterov || options.momentum > 0.0, "sgd: nesterov needs a momentum, got 0");
  return options;
}

}  // namespace

Sgd::Sgd(const std::vector<Parameter*>& parameters, const SgdOptions& options)
    : Sgd(std::vector<Group>{{parameters, options}}) {}

Sgd::Sgd(const std::vector<Group>& groups) : Optimizer("sgd", {"momentum_buffer"}) {
  for (const Group& group : groups) {
    options_.push_back(checked(group.options));
    add_group(group.parameters, group.options.lr);
  }
}

void Sgd::update(std::size_t group, Slot& slot) {
  const SgdOptions& options = options_[group];
  const bool momentum = options.momentum != 0.0;
  const bool first = slot.buffers.empty();
  if (momentum && first) allocate_buffers(slot);
  const Coefficients coefficients{static_cast<float>(lr(group)),
                                  static_cast<float>(options.momentum),
                                  static_cast<float>(options.weight_decay)};
  const float* gradient = slot.parameter->grad().data().data();
  float* value = slot.parameter->edit().data().data();
  float* buffer = momentum ? slot.buffers[0].data().data() : nullptr;
  parallel_for(slot.parameter->shape().numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    const Eigen::Index count = end - begin;
    update_range(Array(value + begin, count), ConstArray(gradient + begin, count),
                 Array(momentum ? buffer + begin : nullptr, momentum ? count : 0), first, options,
                 coefficients);
  });
}

}  // namespace rung::nn
