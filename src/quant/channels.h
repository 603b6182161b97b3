#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/format.h"
#include "rung/core/shape.h"
#include "rung/quant/encoding.h"

namespace rung {

/// Sees row-major data as [outer, channels, inner]: a channel is `outer` runs of `inner` numbers.
struct ChannelRuns {
  std::int64_t outer = 1, channels = 1, inner = 1;
  std::int64_t start(std::int64_t o, std::int64_t c) const { return (o * channels + c) * inner; }
};

/// Cuts `shape` at `axis` (none: one run); throws Error unless the axis exists and has `channels`
/// elements.
inline ChannelRuns channel_runs(const Shape& shape, std::optional<std::int64_t> axis,
                                std::int64_t channels) {
  if (!axis) return {1, 1, shape.numel()};
  if (*axis < 0 || *axis >= shape.rank() || shape[*axis] != channels)
    fail("a quantizer of {} channels along axis {} does not fit a tensor {}", channels, *axis,
         shape.to_string());
  ChannelRuns runs{1, channels, 1};
  for (std::int64_t i = 0; i < *axis; ++i) runs.outer *= shape[i];
  for (std::int64_t i = *axis + 1; i < shape.rank(); ++i) runs.inner *= shape[i];
  return runs;
}

/// Calls body(channel, run) for every run of consecutive numbers of one channel of `values`.
template <typename T, typename Body>
void for_each_run(const ChannelRuns& runs, std::span<T> values, const Body& body) {
  for (std::int64_t o = 0; o < runs.outer; ++o)
    for (std::int64_t c = 0; c < runs.channels; ++c)
      body(static_cast<std::size_t>(c), values.subspan(static_cast<std::size_t>(runs.start(o, c)),
                                                       static_cast<std::size_t>(runs.inner)));
}

}  // namespace rung
