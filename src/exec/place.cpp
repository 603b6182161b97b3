// The memory plan: buffers whose lifetimes on the timeline do not touch may share an address.

#include <algorithm>
#include <numeric>

#include "exec/plan.h"

namespace rung {

std::int64_t plan_memory(std::vector<Buffer>& buffers) {
  constexpr std::int64_t kAlign = 16;  // floats in a cache line
  std::vector<int> order;
  for (std::size_t i = 0; i < buffers.size(); ++i)
    if (buffers[i].storage == Storage::arena && buffers[i].alias < 0 && buffers[i].count > 0)
      order.push_back(static_cast<int>(i));
  // Largest first: the big ones set the arena's size, the small ones fit into the gaps.
  std::ranges::stable_sort(order, std::greater<>{}, [&](int i) { return buffers[i].count; });

  std::vector<int> placed;  // by rising offset
  std::int64_t size = 0;
  for (const int index : order) {
    Buffer& buffer = buffers[index];
    const std::int64_t need = (buffer.count + kAlign - 1) / kAlign * kAlign;
    std::int64_t offset = 0;
    for (const int other_index : placed) {
      const Buffer& other = buffers[other_index];
      if (other.last < buffer.first || buffer.last < other.first) continue;
      if (offset + need <= other.offset) break;  // the gap before `other` is wide enough
      offset = std::max(offset, other.offset + (other.count + kAlign - 1) / kAlign * kAlign);
    }
    buffer.offset = offset;
    size = std::max(size, offset + need);
    const auto at =
        std::ranges::upper_bound(placed, offset, {}, [&](int i) { return buffers[i].offset; });
    placed.insert(at, index);
  }
  for (Buffer& buffer : buffers)
    if (buffer.alias >= 0) buffer.offset = buffers[buffer.alias].offset;
  return size;
}

}  // namespace rung
