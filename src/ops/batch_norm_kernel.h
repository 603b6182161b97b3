#pragma once

#include <cstdint>

#include "kernels/batch_norm.h"
#include "rung/graph/op.h"

namespace rung {

/// What the kernels of batch normalizations share: y = x * scale + shift per channel, with a fused
/// relu if the plan asks for it, and the gradient through statistics of the batch. Derived classes
/// say what mean, inverse, scale and shift are. Inputs: x, weight, bias, then what they like.
///
/// Runs on any format: a tensor is [images, blocks, area, lanes], lanes = 1 in row-major. Per
/// channel vectors are padded to blocks * lanes.
class BatchNormKernelBase : public Kernel {
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
  void apply(const Io& io) const;
  /// Writes the gradients of x, weight and bias that are wanted.
  void backward_of_inputs(const GradIo& io) const;

  std::int64_t channels_;
  bool relu_, batch_statistics_;

 private:
  kernels::BatchNormExtents extents() const { return {images_, blocks_, area_, lanes_}; }

  std::int64_t images_, blocks_, area_, lanes_, padded_;
};

}  // namespace rung
