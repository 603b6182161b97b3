#pragma once

#include <cstdint>

#include "backend/onednn.h"

namespace rung {

/// The gradient of a convolution's input that has few channels (an image): oneDNN's primitives for
/// it are slow or work on whole blocks of channels. The products of output gradients and weights,
/// made for a few rows of pixels at a time, are added up where the forward pass read (col2im). The
/// image is row-major, diff_dst in the specification's blocked format; there are no groups.
class ImageGradient {
 public:
  /// Scratch memory is for the number of threads at this moment.
  explicit ImageGradient(const backend::ConvolutionSpec& spec);
  std::int64_t scratch_floats() const;
  /// `weights` are [O, C, KH, KW]; writes all of diff_src. The same bits for any number of threads.
  void run(const float* diff_dst, const float* weights, float* diff_src, float* scratch) const;

 private:
  std::int64_t pixels_floats() const { return rows_ * spec_.dst[3] * outputs_; }
  std::int64_t products_floats() const { return rows_ * spec_.dst[3] * width_; }
  void transpose(const float* weights, float* panels) const;
  void gather(const float* diff_dst, std::int64_t row, std::int64_t rows, float* pixels) const;
  void scatter(const float* products, std::int64_t row, std::int64_t rows, float* image) const;

  backend::ConvolutionSpec spec_;
  std::int64_t outputs_;       // channels, whole blocks
  std::int64_t taps_, width_;  // of an output pixel; rounded up to whole vectors
  std::int64_t rows_;          // of the output that are worked on at once
  std::int64_t workers_;       // that images are dealt to
};

}  // namespace rung
