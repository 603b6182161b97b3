#include "analysis/pieces.h"

#include <algorithm>

namespace rung::analysis {

std::vector<Piece> pieces_of(const Shape& shape, const Granularity& granularity) {
  constexpr std::size_t kGrain = 1 << 14;
  const ChannelRuns runs(shape, granularity);
  const auto length = static_cast<std::size_t>(runs.length());
  std::vector<Piece> pieces;
  for (std::int64_t run = 0; run < runs.count(); ++run)
    for (std::size_t at = 0; at < length; at += kGrain)
      pieces.push_back({static_cast<std::size_t>(runs.channel(run)),
                        static_cast<std::size_t>(runs.start(run)) + at,
                        std::min(kGrain, length - at)});
  return pieces;
}

}  // namespace rung::analysis
