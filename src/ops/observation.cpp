#include "ops/observation.h"

#include <algorithm>

#include "core/format.h"
#include "kernels/quantize.h"
#include "quant/channels.h"
#include "rung/core/parallel.h"

namespace rung {

Stretches stretches(std::span<const float> x, const Shape& shape, const Granularity& granularity) {
  const ChannelRuns runs(shape, granularity);
  Stretches result;
  result.channels.resize(static_cast<std::size_t>(granularity.count()));
  for_each_run(runs, x, [&](std::size_t channel, std::span<const float> run) {
    result.channels[channel].push_back(run);
  });
  return result;
}

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

void observe(std::span<const std::unique_ptr<RangeEstimator>> estimators, const Stretches& batch) {
  struct Seen {
    kernels::MinMax range;
    std::int64_t count = 0;
  };
  const auto& min_max = kernels::quantize_kernels().min_max;
  const auto channels = static_cast<std::int64_t>(estimators.size());
  std::vector<Seen> seen(estimators.size());
  parallel_for(channels, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      Seen& s = seen[static_cast<std::size_t>(c)];
      for (const auto& piece : batch.channels[static_cast<std::size_t>(c)]) {
        if (piece.empty()) continue;
        const auto one = min_max(piece.data(), static_cast<std::int64_t>(piece.size()));
        const bool first = s.count == 0;
        s.range = {first ? one.min : std::min(s.range.min, one.min),
                   first ? one.max : std::max(s.range.max, one.max),
                   s.range.not_finite + one.not_finite};
        s.count += static_cast<std::int64_t>(piece.size());
      }
    }
  });
  std::int64_t bad = 0, all = 0;
  for (const Seen& s : seen) {
    bad += s.range.not_finite;
    all += s.count;
  }
  require(bad == 0, "{} of {} elements of the calibration data are NaN or infinite", bad, all);
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

}  // namespace rung
