#pragma once

#include <cstdint>

#include "backend/onednn.h"

namespace rung::backend {

/// The gradient of a convolution's input that has few channels (an image): oneDNN's primitives for
/// it are slow or work on whole blocks of channels. Products of weights and output gradients, made
/// by gemm for a few rows of pixels, are added up where the forward pass read (col2im). Groups are
/// not supported; the image is row-major, diff_dst of the specification's format.
class ImageGradient {
 public:
  /// Scratch memory is for the number of threads at this moment.
  explicit ImageGradient(const ConvolutionSpec& spec);
  std::int64_t scratch_floats() const { return workers_ * (pixels_floats() + products_floats()); }
  /// `weights` are [O, C, KH, KW]; writes all of diff_src. The same bits for any number of threads.
  void run(const float* diff_dst, const float* weights, float* diff_src, float* scratch) const;

 private:
  std::int64_t taps() const { return spec_.src[1] * spec_.kernel[0] * spec_.kernel[1]; }
  std::int64_t pixels_floats() const { return rows_ * spec_.dst[3] * spec_.dst[1]; }
  std::int64_t products_floats() const { return rows_ * spec_.dst[3] * taps(); }
  void gather(const float* diff_dst, std::int64_t row, std::int64_t rows, float* pixels) const;
  void scatter(const float* products, std::int64_t row, std::int64_t rows, float* image) const;

  ConvolutionSpec spec_;
  std::int64_t rows_;             // of the output that one gemm is for
  std::int64_t workers_, grain_;  // images are dealt to workers
};

}  // namespace rung::backend
