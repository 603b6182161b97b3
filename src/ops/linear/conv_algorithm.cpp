#include "ops/linear/conv_algorithm.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include "core/check.h"
#include "kernels/dispatch.h"
#include "kernels/reorder.h"
#include "rung/core/tensor.h"
#include "rung/ops/tuning.h"

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

// Returns true if Winograd's convolution is faster by the rules. `sizes` are those of the pass.
bool is_faster(ConvPass pass, const kernels::winograd::Sizes& sizes) {
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

kernels::winograd::Sizes sizes_of(const backend::ConvolutionSpec& spec) {
  return {.images = spec.src[0],
          .inputs = spec.src[1],
          .outputs = spec.dst[1],
          .height = spec.src[2],
          .width = spec.src[3],
          .padding = spec.padding[0],
          .format = spec.dst_format};
}

// How ConvChoices calls a pass.
std::string key_of(ConvPass pass, const backend::ConvolutionSpec& spec) {
  const char* names[] = {"forward", "backward_data", "backward_weights"};
  return fmt::format("{} {}x{}x{}x{} to {}, padding {}, {}c", names[static_cast<int>(pass)],
                     spec.src[0], spec.src[1], spec.src[2], spec.src[3], spec.dst[1],
                     spec.padding[0], static_cast<int>(spec.dst_format));
}

WinogradPass pass_of(ConvPass pass, const backend::ConvolutionSpec& spec) {
  namespace wino = kernels::winograd;
  wino::Sizes sizes = sizes_of(spec);
  if (pass == ConvPass::backward_weights) return {sizes, wino::cut_weights(sizes)};
  if (pass == ConvPass::backward_data) sizes = wino::transposed(sizes);
  return {sizes, wino::cut_forward(sizes)};
}

// Returns which one is faster on random numbers.
ConvAlgorithm measure(ConvPass pass, const backend::ConvolutionSpec& spec) {
  namespace wino = kernels::winograd;
  backend::ConvolutionSpec alone = spec;
  alone.bias = alone.add = false;
  alone.clip = {};
  alone.forward = pass == ConvPass::forward;
  alone.backward_data = pass == ConvPass::backward_data;
  alone.backward_weights = pass == ConvPass::backward_weights;
  backend::Convolution direct(alone);
  const auto [sizes, cut] = pass_of(pass, spec);
  const auto random = [](std::int64_t count) {
    Tensor tensor(Shape{count});
    Rng rng(1);
    for (float& value : tensor.data()) value = static_cast<float>(rng.uniform(-1.0, 1.0));
    return tensor;
  };
  const auto count = [&](const std::array<std::int64_t, 4>& s) {
    return kernels::padded_count(Shape{s[0], s[1], s[2], s[3]}, spec.dst_format);
  };
  Tensor x = random(count(spec.src)), y = random(count(spec.dst)),
         w = random(spec.src[1] * spec.dst[1] * 9),
         scratch(Shape{std::max(cut.scratch, direct.scratch_floats())});
  float *px = x.data().data(), *py = y.data().data(), *pw = w.data().data(),
        *ps = scratch.data().data();
  // Named again: clang before 16 does not capture the names of a structured binding.
  const auto run = [&, &sizes = sizes, &cut = cut](bool winograd) {
    switch (pass) {
      case ConvPass::forward:
        return winograd ? wino::forward(sizes, cut, px, pw, false, {}, py, ps)
                        : direct.forward(px, pw, 0, nullptr, nullptr, py, ps);
      case ConvPass::backward_data:
        return winograd ? wino::forward(sizes, cut, py, pw, true, {}, px, ps)
                        : direct.backward_data(py, pw, 0, px, ps);
      case ConvPass::backward_weights:
        return winograd ? wino::backward_weights(sizes, cut, px, py, pw, ps)
                        : direct.backward_weights(px, py, pw, nullptr, ps);
    }
  };
  double best[2] = {1e30, 1e30};
  for (int i = 0; i < 5; ++i)  // in turn; the first prepares things
    for (const bool winograd : {false, true}) {
      const auto begin = std::chrono::steady_clock::now();
      run(winograd);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      if (i > 0) best[winograd] = std::min(best[winograd], took.count());
    }
  return best[1] < best[0] ? ConvAlgorithm::winograd : ConvAlgorithm::direct;
}

bool prefers_winograd(ConvPass pass, const backend::ConvolutionSpec& spec,
                      const KernelContext& context) {
  const Tuning tuning = context.tuning == nullptr ? Tuning{} : *context.tuning;
  if (tuning.conv_algorithm != ConvAlgorithm::automatic)
    return tuning.conv_algorithm == ConvAlgorithm::winograd;
  if (ConvChoices* choices = tuning.conv_choices; choices != nullptr) {
    const std::string key = key_of(pass, spec);
    if (choices->measures() && !choices->find(key)) choices->set(key, measure(pass, spec));
    if (const auto choice = choices->find(key)) return *choice == ConvAlgorithm::winograd;
  }
  return is_faster(pass, pass_of(pass, spec).sizes);
}

}  // namespace

std::optional<WinogradPass> choose_winograd(ConvPass pass, const backend::ConvolutionSpec& spec,
                                            const KernelContext& context) {
  if (!prefers_winograd(pass, spec, context)) return std::nullopt;
  return pass_of(pass, spec);
}

}  // namespace rung
