#include "rung/quant/range_estimator.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace rung {

void observe(RangeEstimator& estimator, std::span<const float> batch) {
  if (batch.empty()) return;
  const auto bad =
      std::count_if(batch.begin(), batch.end(), [](float x) { return !std::isfinite(x); });
  require(bad == 0, "{} of {} elements are NaN or infinite", bad, batch.size());
  const auto [min, max] = std::minmax_element(batch.begin(), batch.end());
  estimator.begin_batch({*min, *max}, static_cast<std::int64_t>(batch.size()));
  if (estimator.needs_data()) estimator.accumulate(batch);
  estimator.end_batch();
}

}  // namespace rung
