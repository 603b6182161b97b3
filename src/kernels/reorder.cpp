#include "kernels/reorder.h"

namespace rung::kernels::RUNG_ISA {
namespace {

// Pixels are taken in tiles, so that each plane of the row-major side is read a cache line at a
// time.
constexpr std::int64_t kTile = 16;

void block(const float* __restrict plain, float* __restrict blocked, std::int64_t channels,
           std::int64_t lanes, std::int64_t area) {
  for (std::int64_t p = 0; p < area; p += kTile) {
    const std::int64_t end = p + kTile < area ? p + kTile : area;
    for (std::int64_t c = 0; c < lanes; ++c)
      for (std::int64_t q = p; q < end; ++q)
        blocked[q * lanes + c] = c < channels ? plain[c * area + q] : 0.0f;
  }
}

void unblock(const float* __restrict blocked, float* __restrict plain, std::int64_t channels,
             std::int64_t lanes, std::int64_t area) {
  for (std::int64_t p = 0; p < area; p += kTile) {
    const std::int64_t end = p + kTile < area ? p + kTile : area;
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t q = p; q < end; ++q) plain[c * area + q] = blocked[q * lanes + c];
  }
}

}  // namespace

const ReorderKernels reorder = {block, unblock};

}  // namespace rung::kernels::RUNG_ISA
