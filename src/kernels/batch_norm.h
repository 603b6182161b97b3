#pragma once

#include <cstdint>

#include "kernels/dispatch.h"
#include "kernels/epilogue.h"
#include "rung/core/format.h"
#include "rung/core/shape.h"

namespace rung::kernels {

/// A tensor as batch normalization sees it: [images, blocks, area, lanes], lanes = 1, 8 or 16.
struct BatchNormExtents {
  std::int64_t images, blocks, area, lanes;
};

/// Loops over one plane: `area` pixels of `lanes` channels, whose per-channel vectors start at the
/// plane's first channel.
struct BatchNormKernels {
  void (*statistics)(const float* x, std::int64_t area, std::int64_t lanes, float* sum,
                     float* square);
  void (*apply)(const float* x, float* y, std::int64_t area, std::int64_t lanes, const float* scale,
                const float* shift, const Epilogue& epilogue);
  void (*apply_add)(const float* x, const float* residual, float* y, std::int64_t area,
                    std::int64_t lanes, const float* scale, const float* shift,
                    const Epilogue& before, const Epilogue& epilogue, Interval passes,
                    std::uint8_t* mask);
  AffineSums (*add_backward)(const float* x, const float* residual, const float* dy, float* g,
                             std::int64_t area, std::int64_t lanes, const float* scale,
                             const float* shift, const Epilogue& before, const Epilogue& epilogue,
                             Interval passes, AffineSums* before_sums);
  void (*gradient_sums)(const float* x, const float* dy, std::int64_t area, std::int64_t lanes,
                        const float* mean, const float* scale, const float* shift, Interval passes,
                        float* sum, float* product);
  AffineSums (*range_sums)(const float* x, const float* dy, std::int64_t area, std::int64_t lanes,
                           const float* scale, const float* shift, const Epilogue& epilogue);
  void (*gradient)(const float* x, const float* dy, float* dx, std::int64_t area,
                   std::int64_t lanes, const float* a, const float* b, const float* c,
                   const float* scale, const float* shift, Interval passes);
};
RUNG_DECLARE_KERNELS(BatchNormKernels, batch_norm);

/// Writes for every image and channel, [images, blocks * lanes], the sum of x and the sum of
/// squared distances from that image's mean.
void batch_norm_statistics(const float* x, const BatchNormExtents& extents, float* sums,
                           float* squares);
/// Writes the sum of every channel of x [N, C, H, W].
void sum_channels(const float* x, const Shape& shape, Format format, float* sums);
/// y = epilogue(v), v = x * scale + shift; scale and shift are [blocks * lanes].
void batch_norm_apply(const float* x, float* y, const BatchNormExtents& extents, const float* scale,
                      const float* shift, const Epilogue& epilogue);
/// y = epilogue(before(v) + residual). `mask`, unless it is nullptr, gets mask_bytes(area * lanes)
/// for every image and block.
void batch_norm_apply_add(const float* x, const float* residual, float* y,
                          const BatchNormExtents& extents, const float* scale, const float* shift,
                          const Epilogue& before, const Epilogue& epilogue, std::uint8_t* mask);

/// The gradient of an addition behind batch norm, written to g: dy, or 0 where the epilogue cut the
/// sum off. That is known from the mask or, with learned ranges, by adding again, or from y's sign.
struct BatchNormJoin {
  const std::uint8_t* mask = nullptr;
  const float* residual = nullptr;
  AffineSums* range_sums = nullptr;  ///< of the epilogue's quantizer, with `residual`
  const float* y = nullptr;
  Epilogue epilogue = {};
  float* g = nullptr;
};

/// Writes for every image and channel the sums of g and of g * (x - mean), where g is dy, or 0
/// where the epilogue cut v off. Writes d loss / d scale and offset of the epilogue's quantizer for
/// every image and block, unless range_sums is nullptr. With a `join` dy is its g.
void batch_norm_gradient_sums(const float* x, const float* dy, const BatchNormExtents& extents,
                              const float* mean, const float* scale, const float* shift,
                              const Epilogue& epilogue, float* sums, float* products,
                              AffineSums* range_sums, const BatchNormJoin* join = nullptr);
/// dx = a * g + b * x + c with g as above.
void batch_norm_gradient(const float* x, const float* dy, float* dx,
                         const BatchNormExtents& extents, const float* a, const float* b,
                         const float* c, const float* scale, const float* shift,
                         const Epilogue& epilogue);

}  // namespace rung::kernels
