#pragma once

#include <cstdint>

#include "kernels/winograd/finish.h"
#include "rung/core/format.h"

namespace rung::kernels::winograd {

/// A convolution of 3 x 3 pixels with stride 1 on tensors in a blocked format.
struct Sizes {
  std::int64_t images = 0, inputs = 0, outputs = 0;  ///< channels
  std::int64_t height = 0, width = 0;                ///< of the input
  std::int64_t padding = 0;                          ///< 0, 1 or 2
  Format format = Format::blocked16;
  std::int64_t out_height() const { return height + 2 * padding - 2; }
  std::int64_t out_width() const { return width + 2 * padding - 2; }
};

/// Returns the sizes of the convolution that computes the gradient of this one's input: dy with the
/// weights rotated.
Sizes transposed(const Sizes& sizes);

/// How a pass is cut into pieces: threads share nothing that one of them writes, as caches of
/// different processors pass it on slowly, and a piece stays in the cache of its own.
struct Cut {
  bool deep = false;         ///< many channels: a thread makes some output channels of all tiles
  std::int64_t tiles = 0;    ///< of a group, worked on at once
  std::int64_t parts = 1;    ///< of the tiles, each with sums of its own (weights' gradient)
  std::int64_t workers = 1;  ///< threads that memory is for
  std::int64_t scratch = 0;  ///< floats
};
Cut cut_forward(const Sizes& sizes);
Cut cut_weights(const Sizes& sizes);

/// Winograd's convolution F(4x4, 3x3) and its gradients: four times fewer multiplications than the
/// direct one, with errors of about 1e-6 to 1e-5 relative to the largest element. Weights are
/// [outputs, inputs, 3, 3]. All give the same bits for any number of threads.
///
/// y = finish(x * weights), with a bias of [outputs] only. Rotated, weights are [inputs, outputs,
/// 3, 3] of `sizes`, turned by 180 degrees.
void forward(const Sizes& sizes, const Cut& cut, const float* x, const float* weights, bool rotated,
             const Finish& finish, float* y, float* scratch);
/// Overwrites the weights' gradient.
void backward_weights(const Sizes& sizes, const Cut& cut, const float* x, const float* dy,
                      float* gradient, float* scratch);

}  // namespace rung::kernels::winograd
