#pragma once

#include <cstdint>

#include "kernels/multiply.h"
#include "kernels/winograd/finish.h"

namespace rung::kernels::winograd {

// F(4x4, 3x3): a tile of 6 x 6 pixels makes 4 x 4 pixels of output.
constexpr int kTile = 6, kOut = 4, kPoints = kTile * kTile;

/// An image tensor in a blocked format, [images, blocks, height, width, lanes], and how tiles cover
/// it: tile (y, x) starts `pad` pixels before (y * 4, x * 4). What is outside counts as zero.
struct Image {
  std::int64_t blocks, height, width;
  std::int64_t tiles_y, tiles_x, pad;
};

/// A matrix per point: [points, rows, channels], or in panels [points, panels, rows, channels of
/// the panel]. Rows are the tiles of a group, or the channels of the other side.
struct Matrices {
  float* data;
  std::int64_t rows, blocks;  ///< blocks of channels
  std::int64_t stride;        ///< floats from one point to the next
};

/// Loops for one block format. Tiles are numbered over all images, rows and columns; `first` is
/// that of row 0. `block` is of the tensor, `slot` where it stands in the matrices.
struct Kernels {
  /// Writes B^T d B of rows begin .. end.
  void (*input)(const float* x, const Image& image, std::int64_t block, std::int64_t slot,
                std::int64_t first, std::int64_t begin, std::int64_t end, const Matrices& v);
  /// Writes the output A^T m A of rows begin .. end.
  void (*output)(const Matrices& m, const Image& image, std::int64_t block, std::int64_t slot,
                 std::int64_t first, std::int64_t begin, std::int64_t end, float* y,
                 const Finish& finish, Interval passes);
  /// Writes A dy A^T in panels: the transpose of output().
  void (*output_gradient)(const float* dy, const Image& image, std::int64_t block,
                          std::int64_t slot, std::int64_t first, std::int64_t begin,
                          std::int64_t end, const Matrices& m);
  /// Writes G g G^T in panels, of one block of outputs and u.rows inputs from `first` on; rotated,
  /// of one block of inputs and u.rows outputs. Weights are [outputs, inputs, 3, 3]; channels that
  /// they do not have become zero. Rows begin .. end of u.
  void (*weights)(const float* weights, std::int64_t outputs, std::int64_t inputs, bool rotated,
                  std::int64_t block, std::int64_t slot, std::int64_t first, std::int64_t begin,
                  std::int64_t end, const Matrices& u);
  /// Writes G^T du G of one block of outputs and of the inputs from `first` on that are du's rows
  /// begin .. end; du, not in panels, is the sum of `parts` matrices, `part_stride` floats apart.
  void (*weights_gradient)(const Matrices& du, std::int64_t parts, std::int64_t part_stride,
                           std::int64_t outputs, std::int64_t inputs, std::int64_t block,
                           std::int64_t slot, std::int64_t first, std::int64_t begin,
                           std::int64_t end, float* gradient);
};

/// Kernels for blocks of 8 and of 16 channels.
struct WinogradKernels {
  Kernels lanes8, lanes16;
};

}  // namespace rung::kernels::winograd

namespace rung::kernels {

using winograd::WinogradKernels;
RUNG_DECLARE_KERNELS(WinogradKernels, winograd_table);

}  // namespace rung::kernels
