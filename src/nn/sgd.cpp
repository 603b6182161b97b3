#include <cmath>

#include "core/format.h"
#include "rung/core/parallel.h"
#include "rung/nn/optim.h"

namespace rung::nn {
namespace {

constexpr std::int64_t kGrain = 1 << 15;

struct Coefficients {
  float lr, momentum, weight_decay;
};

// `first`: the buffer takes the gradient as it is. The flags are template arguments so that each
// loop is straight and vectorizes; it is bound by memory, so all is done in one pass.
template <bool kMomentum, bool kFirst, bool kNesterov>
void update_range(float* __restrict p, const float* __restrict g, float* __restrict b,
                  std::int64_t count, Coefficients c) {
  for (std::int64_t i = 0; i < count; ++i) {
    float d = g[i] + c.weight_decay * p[i];
    if constexpr (kMomentum) {
      const float velocity = kFirst ? d : c.momentum * b[i] + d;
      b[i] = velocity;
      d = kNesterov ? d + c.momentum * velocity : velocity;
    }
    p[i] -= c.lr * d;
  }
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
  const auto range =
      !momentum ? update_range<false, false, false>
      : options.nesterov
          ? (first ? update_range<true, true, true> : update_range<true, false, true>)
          : (first ? update_range<true, true, false> : update_range<true, false, false>);
  const float* gradient = slot.parameter->grad().data().data();
  float* value = slot.parameter->edit().data().data();
  float* buffer = momentum ? slot.buffers[0].data().data() : nullptr;
  parallel_for(slot.parameter->shape().numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    range(value + begin, gradient + begin, momentum ? buffer + begin : nullptr, end - begin,
          coefficients);
  });
}

}  // namespace rung::nn
