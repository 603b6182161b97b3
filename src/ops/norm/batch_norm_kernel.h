#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/batch_norm.h"
#include "ops/quantize/epilogue.h"
#include "rung/graph/kernel.h"

namespace rung {

/// What the kernels of batch normalizations share: y = x * scale + shift per channel, with what
/// the plan fused behind it, and the gradient through statistics of the batch. Derived classes
/// say what mean, inverse, scale and shift are. Inputs: x, weight, bias, then what they like, then
/// those of what is fused (KernelContext).
///
/// Runs on any format: a tensor is [images, blocks, area, lanes], lanes = 1 in row-major. Per
/// channel vectors are padded to blocks * lanes.
class BatchNormKernelBase : public Kernel {
 public:
  int gradient_is_output(std::size_t input) const override;
  bool packs() const override { return epilogue_.packs(); }
  void pack(const View& y, std::uint8_t* codes) const override { epilogue_.pack(y, codes); }
  void unpack(const std::uint8_t* codes, const View& y) const override {
    epilogue_.unpack(codes, y);
  }

 protected:
  enum Input { kX, kWeight, kBias, kMean, kVariance };

  /// `op_type` is for the message of the Error that a batch of one value per channel is.
  BatchNormKernelBase(const KernelContext& context, bool batch_statistics,
                      std::string_view op_type);

  /// Vectors of one float per channel that live from forward to backward.
  struct Vectors {
    float *mean, *inverse;  ///< of the statistics that normalize: inverse = 1 / sigma
    float *scale, *shift;
    float* gain;  ///< d weight = gain * sum of dy * (x - mean)
  };
  Vectors vectors(float* workspace) const;

  /// Statistics of one channel: spread is the sum of squared distances from the mean.
  struct Moments {
    double mean, spread;
  };
  /// Reads x once: moments() of every channel are known afterwards, in the scratch of forward.
  void reduce(const Io& io) const;
  Moments moments(const Io& io, std::int64_t channel) const;
  double count() const { return static_cast<double>(images_ * area_); }  ///< values per channel

  /// Writes y; entries of padded channels are cleared, so that these stay zero.
  void apply(const Io& io);
  /// Writes the gradients of x, weight, bias and a fused quantizer's parameters that are wanted.
  void backward_of_inputs(const GradIo& io);
  /// Returns "bn+relu:avx2" and the like.
  std::string name_with(std::string_view what) const;

  std::int64_t channels_;
  bool batch_statistics_;

 private:
  kernels::BatchNormExtents extents() const { return {images_, blocks_, area_, lanes_}; }

  std::int64_t images_, blocks_, area_, lanes_, padded_;
  std::int64_t plane_count() const { return images_ * blocks_; }
  bool has_join() const { return residual_ != 0 && !epilogue_.empty(); }
  std::uint8_t* mask(float* workspace) const;
  kernels::BatchNormJoin join(const GradIo& io);
  void learn(const GradIo& io, const Epilogue& epilogue,
             const std::vector<kernels::AffineSums>& sums) const;

  Epilogue epilogue_;         // behind everything
  Epilogue before_add_;       // with a fused Add
  std::size_t residual_ = 0;  // the input that it adds; 0: there is none
  bool has_mask_ = false;
  std::vector<kernels::AffineSums> range_sums_, join_sums_;  // one per image and block
};

}  // namespace rung
