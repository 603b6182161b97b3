#include "ops/conv_algorithm.h"

#include <algorithm>
#include <span>

#include "kernels/dispatch.h"

namespace rung {
namespace {

/// From so many channels (of the side that has fewer) and tiles of 4 x 4 pixels on, up to the
/// channels of the next rule of the same pass.
struct Rule {
  ConvPass pass;
  std::int64_t channels, tiles;
};

// `rung bench train --tune --threads 2` on a processor with AVX-512 (Zen 4), rounded up to what is
// faster beyond doubt. The second list: the same with ONEDNN_MAX_CPU_ISA=AVX2 RUNG_MAX_ISA=avx2.
constexpr Rule kAvx512[] = {
    {ConvPass::forward, 8, 64},
    {ConvPass::forward, 16, 256},
    {ConvPass::forward, 32, 64},
    {ConvPass::forward, 64, 32},
    {ConvPass::forward, 128, 16},
    {ConvPass::backward_data, 8, 256},
    {ConvPass::backward_data, 16, 512},
    {ConvPass::backward_data, 32, 128},
    {ConvPass::backward_data, 64, 64},
    {ConvPass::backward_data, 256, 16},
    {ConvPass::backward_weights, 8, 512},
    {ConvPass::backward_weights, 16, 1024},
    {ConvPass::backward_weights, 32, 256},
    {ConvPass::backward_weights, 256, 4},
};
constexpr Rule kAvx2[] = {
    {ConvPass::forward, 8, 256},           {ConvPass::forward, 16, 256},
    {ConvPass::forward, 32, 64},           {ConvPass::forward, 64, 32},
    {ConvPass::forward, 128, 16},          {ConvPass::backward_data, 16, 1024},
    {ConvPass::backward_data, 32, 256},    {ConvPass::backward_data, 64, 128},
    {ConvPass::backward_data, 256, 16},    {ConvPass::backward_weights, 8, 256},
    {ConvPass::backward_weights, 32, 256}, {ConvPass::backward_weights, 256, 16},
};

// Tiles hang over the edges: at least this share of their pixels must be real.
constexpr double kLeastShare = 0.55;

std::span<const Rule> rules() {
  switch (kernels::isa()) {
    case kernels::Isa::avx512:
      return kAvx512;
    case kernels::Isa::avx2:
      return kAvx2;
    default:
      return {};
  }
}

}  // namespace

bool winograd_is_faster(ConvPass pass, const kernels::winograd::Sizes& sizes) {
  const std::int64_t height = sizes.out_height(), width = sizes.out_width();
  const std::int64_t tiles = sizes.images * ((height + 3) / 4) * ((width + 3) / 4);
  const std::int64_t channels = std::min(sizes.inputs, sizes.outputs);
  const auto pixels = static_cast<double>(sizes.images * height * width);
  if (pixels < kLeastShare * 16 * static_cast<double>(tiles)) return false;
  bool faster = false;
  for (const Rule& rule : rules())
    if (rule.pass == pass && rule.channels <= channels) faster = tiles >= rule.tiles;
  return faster;
}

}  // namespace rung
