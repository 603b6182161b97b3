#include "ops/norm/batch_norm_kernel.h"

#include "core/check.h"

namespace rung {

BatchNormKernelBase::BatchNormKernelBase(const KernelContext& context, bool batch_statistics,
                                         std::string_view op_type)
    : batch_statistics_(batch_statistics),
      epilogue_(context),
      before_add_(Tails::of(context.tails)->addition ? Epilogue::before_addition(context)
                                                     : epilogue_) {
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
  workspace = bytes_of<float>(5 * padded_);
  scratch_forward = bytes_of<float>(2 * images_ * padded_);
  scratch_backward = bytes_of<float>(2 * images_ * padded_ + 3 * padded_);
  needs = Needs::inputs(0b00011);  // the sign of y follows from x, scale and shift
  if (const Tail* addition = Tails::of(context.tails)->addition; addition != nullptr) {
    residual_ = addition->first_input;
    input_formats[residual_] = context.formats[0];
  }
  if (has_join()) {
    const std::int64_t plane = area_ * lanes_;
    if (!context.wants[residual_]) scratch_backward += bytes_of<float>(plane_count() * plane);
    if (epilogue_.learns()) {
      needs.input_bits |= 1u << residual_;
    } else if (epilogue_.has_quantizer()) {
      has_mask_ = true;
      workspace += plane_count() * kernels::mask_bytes(plane);
    } else {
      needs.output_bits |= 0b1;
    }
  }
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
  return fmt::format("{}{}{}:{}", what, residual_ != 0 ? before_add_.suffix() + "+add" : "",
                     epilogue_.suffix(), kernels::isa_name());
}

void BatchNormKernelBase::apply(const Io& io) {
  const Vectors v = vectors(io.workspace());
  for (std::int64_t c = channels_; c < padded_; ++c)
    v.mean[c] = v.inverse[c] = v.scale[c] = v.shift[c] = v.gain[c] = 0.0f;
  const float* x = io.input(kX).data;
  const View& y = io.output(0);
  if (residual_ == 0) {
    kernels::batch_norm_apply(x, y.data, extents(), v.scale, v.shift, epilogue_.begin(io));
  } else {
    const kernels::Epilogue before = before_add_.begin(io), after = epilogue_.begin(io);
    if (before_add_.observes()) {
      kernels::batch_norm_apply(x, y.data, extents(), v.scale, v.shift, before);
      before_add_.end(y);
    }
    kernels::batch_norm_apply_add(x, io.input(residual_).data, y.data, extents(), v.scale, v.shift,
                                  before, after, has_mask_ ? mask(io.workspace()) : nullptr);
  }
  epilogue_.end(y);
}

std::uint8_t* BatchNormKernelBase::mask(float* workspace) const {
  return reinterpret_cast<std::uint8_t*>(workspace + 5 * padded_);
}

int BatchNormKernelBase::gradient_is_output(std::size_t i) const {
  return residual_ != 0 && i == residual_ && epilogue_.empty() ? 0 : -1;
}

// Says how the fused addition's gradient is found, and where it goes.
kernels::BatchNormJoin BatchNormKernelBase::join(const GradIo& io) {
  kernels::BatchNormJoin join{.epilogue = epilogue_.last()};
  join.g = io.wants(residual_) ? io.input_grad(residual_).data
                               : io.scratch() + 2 * images_ * padded_ + 3 * padded_;
  if (has_mask_) {
    join.mask = mask(io.workspace());
  } else if (epilogue_.learns()) {
    join_sums_.assign(static_cast<std::size_t>(plane_count()), {});
    join.range_sums = join_sums_.data();
    join.residual = io.input(residual_).data;
  } else {
    join.y = io.output(0).data;
  }
  return join;
}

void BatchNormKernelBase::learn(const GradIo& io, const Epilogue& epilogue,
                                const std::vector<kernels::AffineSums>& sums) const {
  kernels::AffineSums all;
  for (const kernels::AffineSums& one : sums) {
    all.scale += one.scale;
    all.offset += one.offset;
  }
  epilogue.write_gradients(io, all, images_ * channels_ * area_);
}

void BatchNormKernelBase::backward_of_inputs(const GradIo& io) {
  const Vectors v = vectors(io.workspace());
  const float *x = io.input(kX).data, *dy = io.output_grad(0).data;
  float *sums = io.scratch(), *products = sums + images_ * padded_;
  float *a = products + images_ * padded_, *b = a + padded_, *c = b + padded_;
  // What stands right behind the batch norm: of its quantizer, too, the range may be learned.
  const Epilogue& next = residual_ != 0 ? before_add_ : epilogue_;
  const bool learns = next.learns() && next.last().quantizes;
  range_sums_.assign(static_cast<std::size_t>(learns ? plane_count() : 0), {});
  const kernels::BatchNormJoin joined = has_join() ? join(io) : kernels::BatchNormJoin{};
  kernels::batch_norm_gradient_sums(x, dy, extents(), v.mean, v.scale, v.shift, next.last(), sums,
                                    products, learns ? range_sums_.data() : nullptr,
                                    has_join() ? &joined : nullptr);
  learn(io, next, range_sums_);
  if (has_join()) {
    dy = joined.g;
    if (epilogue_.learns()) learn(io, epilogue_, join_sums_);
  }
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
                                 v.shift, next.last());
}

}  // namespace rung
