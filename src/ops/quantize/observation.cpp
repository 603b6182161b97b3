// What a quantizer sees of a batch: the numbers of each channel, without padding, to its estimator.

#include <algorithm>

#include "core/check.h"
#include "kernels/quantize.h"
#include "quant/channels.h"
#include "rung/core/parallel.h"
#include "rung/ops/observers.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung {

namespace {

/// A tensor's numbers as stretches of memory, one list per channel, without padding.
struct Stretches {
  std::vector<std::vector<std::span<const float>>> channels;
  std::vector<float> gathered;  ///< holds what does not lie together in a blocked format
};

/// Cuts row-major data into what shares a scale.
Stretches stretches(std::span<const float> x, const Shape& shape, const Granularity& granularity) {
  const ChannelRuns runs(shape, granularity);
  Stretches result;
  result.channels.resize(static_cast<std::size_t>(granularity.count()));
  for_each_run(runs, x, [&](std::size_t channel, std::span<const float> run) {
    result.channels[channel].push_back(run);
  });
  return result;
}

/// Finds the numbers of a tensor as a plan stores it, per tensor.
Stretches stretches(const View& x) {
  Stretches result;
  auto& pieces = result.channels.emplace_back();
  const auto block = static_cast<std::int64_t>(x.format);
  const std::int64_t channels = x.format == Format::plain ? 0 : (*x.shape)[1];
  const std::int64_t rest = channels % block;
  if (rest == 0) {  // no padding: order does not matter
    pieces.push_back(x.span());
    return result;
  }
  // [N, ceil(C / block), H, W, block]: whole blocks lie together, of the last one only `rest`
  // numbers per pixel are data. The zeros beside them were never computed by the network.
  const std::int64_t batch = (*x.shape)[0], blocks = channels / block;
  const std::int64_t pixels = batch == 0 ? 0 : x.count / (batch * (blocks + 1) * block);
  const std::int64_t whole = blocks * pixels * block, image = whole + pixels * block;
  result.gathered.reserve(static_cast<std::size_t>(batch * pixels * rest));
  for (std::int64_t n = 0; n < batch; ++n) {
    const float* data = x.data + n * image;
    if (whole > 0) pieces.push_back({data, static_cast<std::size_t>(whole)});
    for (std::int64_t p = 0; p < pixels; ++p)
      result.gathered.insert(result.gathered.end(), data + whole + p * block,
                             data + whole + p * block + rest);
  }
  pieces.push_back(result.gathered);
  return result;
}

/// A part of what one channel sees, small enough for a processor's cache.
struct Part {
  std::size_t channel;
  std::span<const float> numbers;
  kernels::MinMax range{};
};

std::vector<Part> cut(const Stretches& batch) {
  constexpr std::size_t kGrain = 1 << 15;
  std::vector<Part> parts;
  for (std::size_t c = 0; c < batch.channels.size(); ++c)
    for (std::span<const float> piece : batch.channels[c])
      while (!piece.empty()) {
        parts.push_back({c, piece.first(std::min(piece.size(), kGrain))});
        piece = piece.subspan(parts.back().numbers.size());
      }
  return parts;
}

struct Seen {
  kernels::MinMax range;
  std::int64_t count = 0;

  void add(const Part& part) {
    const kernels::MinMax& one = part.range;
    const bool first = count == 0;
    range = {first ? one.min : std::min(range.min, one.min),
             first ? one.max : std::max(range.max, one.max), range.not_finite + one.not_finite};
    count += std::ssize(part.numbers);
  }
};

/// Shows one batch to the estimators, one per channel: minima and maxima first, then the data.
/// Throws Error counting NaN and infinite elements; nothing is seen then.
void show(const Stretches& batch, std::span<const std::unique_ptr<RangeEstimator>> estimators) {
  const auto& min_max = kernels::quantize_kernels().min_max;
  std::vector<Part> parts = cut(batch);
  parallel_for(std::ssize(parts), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Part& part = parts[static_cast<std::size_t>(i)];
      part.range = min_max(part.numbers.data(), std::ssize(part.numbers));
    }
  });
  std::vector<Seen> seen(estimators.size());
  for (const Part& part : parts) seen[part.channel].add(part);
  std::int64_t bad = 0, all = 0;
  for (const Seen& s : seen) {
    bad += s.range.not_finite;
    all += s.count;
  }
  require(bad == 0, "{} of {} elements of the calibration data are NaN or infinite", bad, all);
  const auto channels = static_cast<std::int64_t>(estimators.size());
  parallel_for(channels, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      const Seen& s = seen[static_cast<std::size_t>(c)];
      if (s.count == 0) continue;
      RangeEstimator& estimator = *estimators[static_cast<std::size_t>(c)];
      estimator.begin_batch({s.range.min, s.range.max}, s.count);
      if (estimator.needs_data())
        for (const auto& piece : batch.channels[static_cast<std::size_t>(c)])
          estimator.accumulate(piece);
      estimator.end_batch();
    }
  });
}

}  // namespace

Observation::Observation(const QuantizeDequantize& quantizer)
    : Observation(quantizer.quantizer().granularity()) {
  for (std::int64_t c = 0; c < granularity_.count(); ++c) {
    estimators_.push_back(quantizer.estimator().clone());
    estimators_.back()->reset();
  }
}

void Observation::see(std::span<const float> x, const Shape& shape) {
  show(stretches(x, shape, granularity_), estimators_);
}

void Observation::see(const View& x) {
  if (granularity_.axis) return see(x.span(), *x.shape);
  show(stretches(x), estimators_);
}

std::int64_t Observation::count() const {
  std::int64_t count = 0;
  for (const auto& estimator : estimators_) count += estimator->count();
  return count;
}

void Observation::check_like(const Observation& other) const {
  require(estimators_.size() == other.estimators_.size(), "{} channels cannot take those of {}",
          estimators_.size(), other.estimators_.size());
  for (std::size_t c = 0; c < estimators_.size(); ++c)
    require(estimators_[c]->name() == other.estimators_[c]->name(),
            "a {} estimator cannot take what a {} estimator has seen", estimators_[c]->name(),
            other.estimators_[c]->name());
}

void Observation::merge(const Observation& other) {
  check_like(other);
  for (std::size_t c = 0; c < estimators_.size(); ++c) estimators_[c]->merge(*other.estimators_[c]);
}

Observation Observation::fresh() const {
  Observation result(granularity_);
  for (const auto& estimator : estimators_) {
    result.estimators_.push_back(estimator->clone());
    result.estimators_.back()->reset();
  }
  return result;
}

}  // namespace rung
