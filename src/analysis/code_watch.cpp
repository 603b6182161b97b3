#include "analysis/code_watch.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "core/check.h"
#include "rung/quant/fake_quantize.h"

namespace rung::analysis {
namespace {

constexpr int kMostBits = 16;  // codes of more bits change with every step

bool all_finite(std::span<const float> numbers) {
  return std::ranges::all_of(numbers, [](float x) { return std::isfinite(x); });
}

}  // namespace

bool CodeWatch::can_watch(const QuantizerHandle& quantizer) {
  const rung::Quantizer& settings = quantizer.op().quantizer();
  const Parameter* parameter = quantizer.source().parameter();
  return parameter != nullptr && parameter->role() == Role::weight && settings.runs_fused() &&
         settings.bitwidth() <= kMostBits && !quantizer.encoding().is_float();
}

CodeWatch::CodeWatch(const QuantizerHandle& quantizer, std::int64_t max_weights)
    : quantizer_(quantizer) {
  const std::int64_t all = quantizer.source().shape().numel();
  const std::int64_t stride = std::max<std::int64_t>(1, (all + max_weights - 1) / max_weights);
  stride_ = static_cast<std::size_t>(stride);
  for (auto* each : {&codes_, &directions_, &frequencies_, &ages_})
    each->assign(static_cast<std::size_t>((all + stride - 1) / stride), 0.0f);
}

CodeWatch::Shares CodeWatch::look() {
  const ConstTensor& weight = quantizer_.source().parameter()->value();
  if (!all_finite(weight.data())) return shares(0);
  const std::vector<std::int32_t> now =
      quantize(weight.data(), weight.shape(), quantizer_.encoding());
  std::size_t flipped = 0;
  for (std::size_t i = 0; i < codes_.size(); ++i) {
    const auto code = static_cast<float>(now[i * stride_]);
    const float before = started_ ? codes_[i] : code;
    const float direction = code == before ? 0.0f : code > before ? 1.0f : -1.0f;
    const bool oscillates = direction * directions_[i] < 0.0f;
    frequencies_[i] = kMomentum * (oscillates ? 1.0f : 0.0f) + (1.0f - kMomentum) * frequencies_[i];
    ages_[i] = direction != 0.0f ? 0.0f : std::min(ages_[i] + (started_ ? 1.0f : 0.0f), kFrozen);
    if (direction != 0.0f) {
      directions_[i] = direction;
      ++flipped;
    }
    codes_[i] = code;
  }
  started_ = true;
  return shares(flipped);
}

CodeWatch::Shares CodeWatch::shares(std::size_t flipped) const {
  const auto all = static_cast<double>(std::max<std::size_t>(1, codes_.size()));
  const auto oscillating =
      std::ranges::count_if(frequencies_, [](float f) { return f > kOscillating; });
  const auto frozen = std::ranges::count_if(ages_, [](float age) { return age >= kFrozen; });
  return {static_cast<double>(flipped) / all, static_cast<double>(oscillating) / all,
          static_cast<double>(frozen) / all};
}

Tensor CodeWatch::state() const {
  std::vector<float> numbers;
  for (const auto* each : {&codes_, &directions_, &frequencies_, &ages_})
    numbers.insert(numbers.end(), each->begin(), each->end());
  return Tensor({4, weights()}, numbers);
}

void CodeWatch::load_state(const Tensor& state, std::string_view source) {
  require(state.shape() == Shape({4, weights()}), "{}: the codes of {} must be {}, got {}", source,
          quantizer_.name(), Shape({4, weights()}), state.shape());
  const std::span<const float> numbers = state.data();
  require(all_finite(numbers), "{}: the codes of {} are not finite", source, quantizer_.name());
  std::size_t row = 0;
  for (auto* each : {&codes_, &directions_, &frequencies_, &ages_}) {
    const std::span<const float> part = numbers.subspan(row++ * codes_.size(), codes_.size());
    each->assign(part.begin(), part.end());
  }
  started_ = true;
}

}  // namespace rung::analysis
