#include <algorithm>
#include <numeric>

#include "exec/passes.h"

namespace rung {

void place(Program& program, const Source&) {
  constexpr std::int64_t kAlign = 64;  // a cache line
  std::vector<Buffer>& buffers = program.buffers;
  const auto room = [&](int i) { return (buffers[i].bytes() + kAlign - 1) / kAlign * kAlign; };
  std::vector<int> order;
  for (std::size_t i = 0; i < buffers.size(); ++i)
    if (buffers[i].storage == Storage::arena && buffers[i].alias < 0 && buffers[i].count > 0)
      order.push_back(static_cast<int>(i));
  // Largest first: the big ones set the arena's size, the small ones fit into the gaps.
  std::ranges::stable_sort(order, std::greater<>{}, [&](int i) { return buffers[i].bytes(); });

  std::vector<int> placed;  // by rising offset
  for (const int index : order) {
    Buffer& buffer = buffers[index];
    std::int64_t offset = 0;
    for (const int other_index : placed) {
      const Buffer& other = buffers[other_index];
      if (other.last < buffer.first || buffer.last < other.first) continue;
      if (offset + room(index) <= other.offset) break;  // the gap before `other` is wide enough
      offset = std::max(offset, other.offset + room(other_index));
    }
    buffer.offset = offset;
    program.arena_bytes = std::max(program.arena_bytes, offset + room(index));
    const auto at =
        std::ranges::upper_bound(placed, offset, {}, [&](int i) { return buffers[i].offset; });
    placed.insert(at, index);
  }
  for (Buffer& buffer : buffers)
    if (buffer.alias >= 0) buffer.offset = buffers[buffer.alias].offset;
}

}  // namespace rung
