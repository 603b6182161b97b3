#include "ops/batch_norm_kernel.h"

#include "core/format.h"

namespace rung {

BatchNormKernelBase::BatchNormKernelBase(const KernelContext& context, bool batch_statistics,
                                         std::string_view op_type)
    : batch_statistics_(batch_statistics), epilogue_(context) {
  const Shape& x = context.inputs[0];
  lanes_ = static_cast<std::int64_t>(context.formats[0]);
  images_ = x[0];
  channels_ = x[1];
  blocks_ = (channels_ + lanes_ - 1) / lanes_;
  area_ = x.numel() == 0 ? 0 : x.numel() / (x[0] * x[1]);
  input_formats.assign(context.inputs.size(), Format::plain);
  input_formats[0] = context.formats[0];
  output_formats = {context.formats[0]};
  padded_ = blocks_ * lanes_;
  workspace = 5 * padded_;
  scratch_forward = 2 * images_ * padded_;
  scratch_backward = 2 * images_ * padded_ + 3 * padded_;
  needs = Needs::inputs(0b00011);  // the sign of y follows from x, scale and shift
  require(!batch_statistics_ || images_ * area_ > 1,
          "[{} {}] needs more than one value per channel for batch statistics, got {}", op_type,
          context.name, x);
}

BatchNormKernelBase::Vectors BatchNormKernelBase::vectors(float* workspace) const {
  const auto at = [&](std::int64_t i) { return workspace + i * padded_; };
  return {at(0), at(1), at(2), at(3), at(4)};
}

void BatchNormKernelBase::reduce(const Io& io) const {
  float *sums = io.scratch(), *squares = sums + images_ * padded_;
  kernels::batch_norm_statistics(io.input(kX).data, extents(), sums, squares);
}

// Merges the sums of images (Chan, Golub, LeVeque 1979) in double, in the order of the images.
BatchNormKernelBase::Moments BatchNormKernelBase::moments(const Io& io,
                                                          std::int64_t channel) const {
  const float *sums = io.scratch(), *squares = sums + images_ * padded_;
  const auto area = static_cast<double>(area_);
  double total = 0;
  for (std::int64_t n = 0; n < images_; ++n) total += sums[n * padded_ + channel];
  const double center = total / count();
  double spread = 0;  // squares holds sum (x - mean of its image)^2
  for (std::int64_t n = 0; n < images_; ++n) {
    const double offset = sums[n * padded_ + channel] / area - center;
    spread += squares[n * padded_ + channel] + area * offset * offset;
  }
  return {center, spread};
}

std::string BatchNormKernelBase::name_with(std::string_view what) const {
  return fmt::format("{}{}:{}", what, epilogue_.suffix(), kernels::isa_name());
}

void BatchNormKernelBase::apply(const Io& io) {
  const Vectors v = vectors(io.workspace());
  for (std::int64_t c = channels_; c < padded_; ++c)
    v.mean[c] = v.inverse[c] = v.scale[c] = v.shift[c] = v.gain[c] = 0.0f;
  kernels::batch_norm_apply(io.input(kX).data, io.output(0).data, extents(), v.scale, v.shift,
                            epilogue_.begin(io));
  epilogue_.end(io.output(0));
}

void BatchNormKernelBase::backward_of_inputs(const GradIo& io) {
  const Vectors v = vectors(io.workspace());
  const float *x = io.input(kX).data, *dy = io.output_grad(0).data;
  float *sums = io.scratch(), *products = sums + images_ * padded_;
  float *a = products + images_ * padded_, *b = a + padded_, *c = b + padded_;
  const bool learns = epilogue_.learns() && epilogue_.last().quantizes;
  range_sums_.assign(static_cast<std::size_t>(learns ? images_ * blocks_ : 0), {});
  kernels::batch_norm_gradient_sums(x, dy, extents(), v.mean, v.scale, v.shift, epilogue_.last(),
                                    sums, products, learns ? range_sums_.data() : nullptr);
  kernels::AffineSums range;
  for (const kernels::AffineSums& one : range_sums_) {
    range.scale += one.scale;
    range.offset += one.offset;
  }
  epilogue_.write_gradients(io, range, images_ * channels_ * area_);
  for (std::int64_t k = 0; k < padded_; ++k) {
    double sum = 0, product = 0;  // of dy, and of dy * (x - mean)
    for (std::int64_t n = 0; n < images_; ++n) {
      sum += sums[n * padded_ + k];
      product += products[n * padded_ + k];
    }
    if (k < channels_ && io.wants(kWeight))
      io.input_grad(kWeight).data[k] = static_cast<float>(product * v.gain[k]);
    if (k < channels_ && io.wants(kBias)) io.input_grad(kBias).data[k] = static_cast<float>(sum);
    // dx = scale * (dy - mean(dy) - (x - mean) * product / (count * variance)) = a dy + b x + c
    const double slope =
        batch_statistics_ ? -v.scale[k] * product * v.inverse[k] * v.inverse[k] / count() : 0.0;
    a[k] = v.scale[k];
    b[k] = static_cast<float>(slope);
    c[k] = batch_statistics_ ? static_cast<float>(-v.scale[k] * sum / count() - slope * v.mean[k])
                             : 0.f;
  }
  if (io.wants(kX))
    kernels::batch_norm_gradient(x, dy, io.input_grad(kX).data, extents(), a, b, c, v.scale,
                                 v.shift, epilogue_.last());
}

}  // namespace rung
