// Runs the loops of this folder on all threads. The chunks never depend on the number of threads.

#include <algorithm>
#include <cassert>
#include <limits>
#include <vector>

#include "kernels/batch_norm.h"
#include "kernels/epilogue.h"
#include "kernels/relu.h"
#include "kernels/reorder.h"
#include "rung/core/parallel.h"

namespace rung::kernels {
namespace {

constexpr std::int64_t kChunk = 1 << 15;  // 128 KiB of floats: fits L2 with its output

}  // namespace

void relu(const float* x, float* y, std::int64_t count) {
  const auto& k = relu_kernels();
  parallel_for(count, kChunk, [&](std::int64_t b, std::int64_t e) { k.relu(x + b, y + b, e - b); });
}

void pass_between(const float* dy, const float* y, float* dx, std::int64_t count, Interval passes) {
  const auto& k = relu_kernels();
  parallel_for(count, kChunk, [&](std::int64_t b, std::int64_t e) {
    k.pass_between(dy + b, y + b, dx + b, e - b, passes);
  });
}

void add(const float* a, const float* c, float* y, std::int64_t count) {
  const auto& k = relu_kernels();
  parallel_for(count, kChunk,
               [&](std::int64_t b, std::int64_t e) { k.add(a + b, c + b, y + b, e - b); });
}

void finish(const float* v, float* y, std::int64_t count, const Epilogue& epilogue,
            std::uint8_t* mask) {
  const auto& k = epilogue_kernels();
  const Interval interval = passes(epilogue);
  parallel_for(count, kChunk, [&](std::int64_t b, std::int64_t e) {
    k.finish(v + b, y + b, e - b, epilogue, interval, mask == nullptr ? mask : mask + b / 8);
  });
}

void add(const float* a, const float* c, float* y, std::int64_t count, const Epilogue& epilogue,
         std::uint8_t* mask) {
  const auto& k = epilogue_kernels();
  const Interval interval = passes(epilogue);
  parallel_for(count, kChunk, [&](std::int64_t b, std::int64_t e) {
    k.add(a + b, c + b, y + b, e - b, epilogue, interval, mask == nullptr ? mask : mask + b / 8);
  });
}

void masked(const float* dy, const std::uint8_t* mask, float* dx, std::int64_t count) {
  const auto& k = epilogue_kernels();
  parallel_for(count, kChunk, [&](std::int64_t b, std::int64_t e) {
    k.masked(dy + b, mask + b / 8, dx + b, e - b);
  });
}

AffineSums add_backward(const float* a, const float* c, const float* dy, float* dx,
                        std::int64_t count, const Epilogue& epilogue) {
  const auto& k = epilogue_kernels();
  const Interval interval = passes(epilogue);
  std::vector<AffineSums> parts(static_cast<std::size_t>((count + kChunk - 1) / kChunk));
  parallel_for(count, kChunk, [&](std::int64_t b, std::int64_t e) {
    parts[static_cast<std::size_t>(b / kChunk)] =
        k.add_backward(a + b, c + b, dy + b, dx + b, e - b, epilogue, interval);
  });
  AffineSums sums;
  for (const AffineSums& part : parts) {
    sums.scale += part.scale;
    sums.offset += part.offset;
  }
  return sums;
}

float largest_magnitude(const float* x, std::int64_t count) {
  const auto& k = quantize_kernels();
  std::vector<float> largest(static_cast<std::size_t>((count + kChunk - 1) / kChunk));
  parallel_for(count, kChunk, [&](std::int64_t b, std::int64_t e) {
    const MinMax seen = k.min_max(x + b, e - b);
    const float here = std::max(-seen.min, seen.max);
    largest[static_cast<std::size_t>(b / kChunk)] =
        seen.not_finite > 0 ? std::numeric_limits<float>::infinity() : here;
  });
  return count > 0 ? *std::ranges::max_element(largest) : 0.0f;
}

void pack(const float* y, std::uint8_t* codes, std::int64_t count, const AffineParams& params) {
  const auto& k = quantize_kernels();
  parallel_for(count, kChunk,
               [&](std::int64_t b, std::int64_t e) { k.pack(y + b, codes + b, e - b, params); });
}

void unpack(const std::uint8_t* codes, float* y, std::int64_t count, const AffineParams& params) {
  const auto& k = quantize_kernels();
  parallel_for(count, kChunk,
               [&](std::int64_t b, std::int64_t e) { k.unpack(codes + b, y + b, e - b, params); });
}

namespace {

// Calls body(plane offset into x, channel offset within an image, image) for every plane.
template <typename Body>
void for_each_plane(const BatchNormExtents& x, const Body& body) {
  const std::int64_t plane = x.area * x.lanes;
  if (plane == 0) return;
  const std::int64_t grain = (kChunk / 2 + plane - 1) / plane;
  parallel_for(x.images * x.blocks, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p)
      body(p * plane, p % x.blocks * x.lanes, p / x.blocks * x.blocks * x.lanes);
  });
}

}  // namespace

void batch_norm_statistics(const float* x, const BatchNormExtents& extents, float* sums,
                           float* squares) {
  const auto& k = batch_norm_kernels();
  for_each_plane(extents, [&](std::int64_t at, std::int64_t c, std::int64_t image) {
    k.statistics(x + at, extents.area, extents.lanes, sums + image + c, squares + image + c);
  });
}

void sum_channels(const float* x, const Shape& shape, Format format, float* sums) {
  const auto lanes = static_cast<std::int64_t>(format);
  const std::int64_t blocks = (shape[1] + lanes - 1) / lanes, row = blocks * lanes;
  std::vector<float> parts(static_cast<std::size_t>(2 * shape[0] * row));
  const std::int64_t planes = shape[0] * shape[1], area = planes == 0 ? 0 : shape.numel() / planes;
  batch_norm_statistics(x, {shape[0], blocks, area, lanes}, parts.data(),
                        parts.data() + shape[0] * row);
  for (std::int64_t c = 0; c < shape[1]; ++c) {
    double sum = 0;
    for (std::int64_t n = 0; n < shape[0]; ++n) sum += parts[static_cast<std::size_t>(n * row + c)];
    sums[c] = static_cast<float>(sum);
  }
}

void batch_norm_apply(const float* x, float* y, const BatchNormExtents& extents, const float* scale,
                      const float* shift, const Epilogue& epilogue) {
  const auto& k = batch_norm_kernels();
  for_each_plane(extents, [&](std::int64_t at, std::int64_t c, std::int64_t) {
    k.apply(x + at, y + at, extents.area, extents.lanes, scale + c, shift + c, epilogue);
  });
}

void batch_norm_apply_add(const float* x, const float* residual, float* y,
                          const BatchNormExtents& extents, const float* scale, const float* shift,
                          const Epilogue& before, const Epilogue& epilogue, std::uint8_t* mask) {
  const auto& k = batch_norm_kernels();
  const Interval interval = passes(epilogue);
  const std::int64_t plane = extents.area * extents.lanes;
  for_each_plane(extents, [&](std::int64_t at, std::int64_t c, std::int64_t) {
    k.apply_add(x + at, residual + at, y + at, extents.area, extents.lanes, scale + c, shift + c,
                before, epilogue, interval,
                mask == nullptr ? mask : mask + at / plane * mask_bytes(plane));
  });
}

void batch_norm_gradient_sums(const float* x, const float* dy, const BatchNormExtents& extents,
                              const float* mean, const float* scale, const float* shift,
                              const Epilogue& epilogue, float* sums, float* products,
                              AffineSums* range_sums, const BatchNormJoin* join) {
  const auto& k = batch_norm_kernels();
  const Interval interval = passes(epilogue);
  const Interval join_interval = join == nullptr ? Interval{} : passes(join->epilogue);
  const std::int64_t plane = extents.area * extents.lanes;
  // Each plane stays in the cache from one loop to the next.
  for_each_plane(extents, [&](std::int64_t at, std::int64_t c, std::int64_t image) {
    const float* gradient = dy + at;
    if (join != nullptr) {
      float* g = join->g + at;
      if (join->range_sums != nullptr)
        join->range_sums[at / plane] =
            k.add_backward(x + at, join->residual + at, gradient, g, extents.area, extents.lanes,
                           scale + c, shift + c, epilogue, join->epilogue, join_interval,
                           range_sums == nullptr ? nullptr : range_sums + at / plane);
      else if (join->mask != nullptr)
        epilogue_kernels().masked(gradient, join->mask + at / plane * mask_bytes(plane), g, plane);
      else
        relu_kernels().pass_between(gradient, join->y + at, g, plane, join_interval);
      gradient = g;
    }
    k.gradient_sums(x + at, gradient, extents.area, extents.lanes, mean + c, scale + c, shift + c,
                    interval, sums + image + c, products + image + c);
    if (range_sums != nullptr && (join == nullptr || join->range_sums == nullptr))
      range_sums[at / plane] = k.range_sums(x + at, gradient, extents.area, extents.lanes,
                                            scale + c, shift + c, epilogue);
  });
}

void batch_norm_gradient(const float* x, const float* dy, float* dx,
                         const BatchNormExtents& extents, const float* a, const float* b,
                         const float* c, const float* scale, const float* shift,
                         const Epilogue& epilogue) {
  const auto& k = batch_norm_kernels();
  const Interval interval = passes(epilogue);
  for_each_plane(extents, [&](std::int64_t at, std::int64_t ch, std::int64_t) {
    k.gradient(x + at, dy + at, dx + at, extents.area, extents.lanes, a + ch, b + ch, c + ch,
               scale + ch, shift + ch, interval);
  });
}

std::int64_t padded_count(const Shape& shape, Format format) {
  if (format == Format::plain || shape.rank() < 2) return shape.numel();
  const auto lanes = static_cast<std::int64_t>(format);
  return shape.with(1, (shape[1] + lanes - 1) / lanes * lanes).numel();
}

void reorder(const Shape& shape, const float* from, Format from_format, float* to,
             Format to_format) {
  const bool blocking = from_format == Format::plain;
  assert(shape.rank() >= 2 && blocking != (to_format == Format::plain));
  if (shape.numel() == 0) return;
  const auto lanes = static_cast<std::int64_t>(blocking ? to_format : from_format);
  const std::int64_t images = shape[0], channels = shape[1],
                     area = shape.numel() / (images * channels);
  const std::int64_t blocks = (channels + lanes - 1) / lanes;
  const auto& k = reorder_kernels();
  parallel_for(images * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t n = i / blocks, first = i % blocks * lanes;
      const std::int64_t real = channels - first < lanes ? channels - first : lanes;
      const std::int64_t plain = (n * channels + first) * area, blocked = i * lanes * area;
      if (blocking)
        k.block(from + plain, to + blocked, real, lanes, area);
      else
        k.unblock(from + blocked, to + plain, real, lanes, area);
    }
  });
}

}  // namespace rung::kernels
