#pragma once

#include <cstdint>
#include <span>

#include "rung/core/shape.h"
#include "rung/quant/encoding.h"

namespace rung {

/// Row-major data as runs of consecutive numbers that share a scale.
class ChannelRuns {
 public:
  /// Throws Error unless a tensor of this shape can be cut so.
  ChannelRuns(const Shape& shape, const Granularity& granularity);

  std::int64_t count() const { return count_; }
  std::int64_t length() const { return length_; }  ///< of each run
  std::int64_t start(std::int64_t run) const { return run * length_; }
  /// Returns which scale a run has.
  std::int64_t channel(std::int64_t run) const {
    const std::int64_t outer = run / inner_count_ / middle_ % outer_extent_ / outer_chunk_;
    return outer * inner_count_ + run % inner_count_;
  }

 private:
  // Seen as [.., outer_extent, middle, inner_count, length]: the scale changes with every
  // outer_chunk elements of the first cut axis and with every element of the second.
  std::int64_t outer_extent_ = 1, outer_chunk_ = 1, middle_ = 1, inner_count_ = 1;
  std::int64_t length_ = 0, count_ = 0;
};

/// Calls body(channel, run) for every run of consecutive numbers of `values`.
template <typename T, typename Body>
void for_each_run(const ChannelRuns& runs, std::span<T> values, const Body& body) {
  for (std::int64_t run = 0; run < runs.count(); ++run)
    body(static_cast<std::size_t>(runs.channel(run)),
         values.subspan(static_cast<std::size_t>(runs.start(run)),
                        static_cast<std::size_t>(runs.length())));
}

}  // namespace rung
