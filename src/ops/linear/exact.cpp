#include "ops/linear/exact.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/batch_norm.h"
#include "ops/common.h"
#include "ops/quantize/epilogue.h"
#include "rung/core/parallel.h"

namespace rung {
namespace {

constexpr std::size_t kMaxParts = 8;
constexpr double kExactBelow = 16777216.0;  // 2^24: float32 counts whole numbers up to here

/// Cuts the input channels of w [O, I, ...] into parts whose sums stay exact for every output;
/// returns where each part begins. Empty if one channel alone is too much, or too many parts.
std::vector<std::int64_t> cut(const View& w, double largest_x) {
  const std::int64_t outputs = (*w.shape)[0], inputs = (*w.shape)[1];
  const std::int64_t area = outputs * inputs == 0 ? 0 : w.count / (outputs * inputs);
  std::vector<double> sums(static_cast<std::size_t>(outputs), 0.0), next(sums);
  std::vector<std::int64_t> begins = {0};
  for (std::int64_t i = 0; i < inputs; ++i) {
    bool fits = true;
    for (std::int64_t o = 0; o < outputs; ++o) {
      const float* taps = w.data + (o * inputs + i) * area;
      double one = 0.0;
      for (std::int64_t k = 0; k < area; ++k) one += std::fabs(double{taps[k]});
      one *= largest_x;
      if (one >= kExactBelow) return {};
      const auto at = static_cast<std::size_t>(o);
      next[at] = one;
      fits = fits && sums[at] + one < kExactBelow;
    }
    if (!fits) {
      begins.push_back(i);
      if (begins.size() > kMaxParts) return {};
      std::ranges::fill(sums, 0.0);
    }
    for (std::size_t o = 0; o < sums.size(); ++o) sums[o] += next[o];
  }
  return begins;
}

class ExactKernel final : public Kernel {
 public:
  ExactKernel(const KernelContext& context, std::unique_ptr<Kernel> real,
              std::unique_ptr<Kernel> whole)
      : real_(std::move(real)),
        whole_(std::move(whole)),
        epilogue_(context),
        channels_(context.outputs[0][1]) {
    input_formats = real_->input_formats;
    output_formats = real_->output_formats;
    needs = Needs::nothing();  // evaluation only
    flops_forward = real_->flops_forward;
    scratch_forward = std::max(real_->scratch_forward, whole_->scratch_forward);
    const auto block = static_cast<std::int64_t>(output_formats[0]);
    blocks_ = (channels_ + block - 1) / block;
    scale_.assign(static_cast<std::size_t>(blocks_ * block), 0.0f);
    shift_ = scale_;
  }

  std::string name() const override { return real_->name() + " exact"; }

  void forward(const Io& io) override {
    const View &x = io.input(0), &w = io.input(1), &y = io.output(0);
    if (!x.codes->whole) return run_real(io);
    prepare(x, w);
    if (parts_.size() <= 1)
      run(io, parts_.empty() ? w : parts_[0], y);
    else
      run_parts(io, y);
    rescale(io, *x.codes, *w.codes, y);
  }

 private:
  /// Nothing quantizes x (calibration, a disabled quantizer): computes exactly what a plan without
  /// codes would, so that what is observed is what training sees.
  void run_real(const Io& io) {
    std::vector<View> inputs;
    std::vector<Parameter*> parameters;
    for (std::size_t i = 0; i < io.input_count(); ++i) {
      inputs.push_back(io.input(i));
      parameters.push_back(io.parameter(i));
    }
    if (inputs[1].codes->whole) inputs[1].data = real_weights(inputs[1]);
    real_->forward(Io(inputs, {&io.output(0), 1}, io.mode(), io.rng(), io.workspace(), io.scratch(),
                      parameters, io.observers()));
  }

  float* real_weights(const View& w) {
    if (w.version != 0 && w.version == real_version_) return real_weights_.data();
    real_version_ = w.version;
    real_weights_.assign(w.data, w.data + w.count);
    const std::vector<float>& scale = w.codes->scale;
    const std::size_t row = real_weights_.size() / static_cast<std::size_t>(channels_);
    for (std::size_t i = 0; i < real_weights_.size(); ++i)
      real_weights_[i] *= scale[scale.size() == 1 ? 0 : i / row];
    return real_weights_.data();
  }

  /// Makes the weights of each part, the others being zero, once per change.
  void prepare(const View& x, const View& w) {
    if (w.version != 0 && w.version == version_ && x.codes->largest == largest_) return;
    version_ = w.version;
    largest_ = x.codes->largest;
    parts_.clear();
    weights_.clear();
    if (!w.codes->whole) return;
    const std::vector<std::int64_t> begins = cut(w, largest_);
    if (begins.size() <= 1) return;
    const std::int64_t outputs = (*w.shape)[0], inputs = (*w.shape)[1];
    const std::int64_t area = w.count / (outputs * inputs);
    for (std::size_t part = 0; part < begins.size(); ++part) {
      const std::int64_t end = part + 1 < begins.size() ? begins[part + 1] : inputs;
      std::vector<float>& weights = weights_.emplace_back(static_cast<std::size_t>(w.count), 0.0f);
      for (std::int64_t o = 0; o < outputs; ++o) {
        const std::int64_t first = (o * inputs + begins[part]) * area;
        std::copy_n(w.data + first, (end - begins[part]) * area, weights.data() + first);
      }
    }
    for (std::vector<float>& weights : weights_) {
      View& part = parts_.emplace_back(w);
      part.data = weights.data();
      part.version = 0;
    }
  }

  void run(const Io& io, const View& weights, const View& y) {
    const View inputs[2] = {io.input(0), weights};
    Parameter* const none[2] = {};
    whole_->forward(Io(inputs, {&y, 1}, io.mode(), io.rng(), io.workspace(), io.scratch(), none));
  }

  void run_parts(const Io& io, const View& y) {
    sums_.assign(static_cast<std::size_t>(y.count), 0.0);
    for (const View& part : parts_) {
      run(io, part, y);
      parallel_for(y.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          sums_[static_cast<std::size_t>(i)] += double{y.data[i]};
      });
    }
    parallel_for(y.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        y.data[i] = static_cast<float>(sums_[static_cast<std::size_t>(i)]);
    });
  }

  void rescale(const Io& io, const CodeScale& x, const CodeScale& w, const View& y) {
    const float* bias = io.input_count() > 2 ? io.input(2).data : nullptr;
    for (std::int64_t c = 0; c < channels_; ++c) {
      const auto at = static_cast<std::size_t>(c);
      scale_[at] = x.scale[0] * w.scale[w.scale.size() == 1 ? 0 : at];
      shift_[at] = bias != nullptr ? bias[c] : 0.0f;
    }
    const auto lanes = static_cast<std::int64_t>(y.format);
    const std::int64_t images = (*y.shape)[0];
    const std::int64_t area = images == 0 ? 0 : y.count / (images * blocks_ * lanes);
    kernels::batch_norm_apply(y.data, y.data, {images, blocks_, area, lanes}, scale_.data(),
                              shift_.data(), epilogue_.bounds());
  }

  std::unique_ptr<Kernel> real_, whole_;
  Epilogue epilogue_;
  std::int64_t channels_, blocks_ = 1;
  std::vector<float> scale_, shift_;  // per channel, with padding
  // Of the weights: what they were made for, and the parts if there are several.
  std::uint64_t version_ = 0, real_version_ = 0;
  float largest_ = -1.0f;
  std::vector<float> real_weights_;
  std::vector<std::vector<float>> weights_;
  std::vector<View> parts_;
  std::vector<double> sums_;
};

KernelContext real_context(const KernelContext& context) {
  KernelContext real = context;
  real.takes_codes = false;
  return real;
}

KernelContext whole_context(const KernelContext& context) {
  KernelContext whole = real_context(context);
  whole.inputs = context.inputs.first(2);
  whole.formats = context.formats.first(2);
  whole.wants = context.wants.first(2);
  whole.tails = {};
  return whole;
}

}  // namespace

std::unique_ptr<Kernel> exact_kernel(const KernelContext& context, const Op& op) {
  return std::make_unique<ExactKernel>(context, op.compile(real_context(context)),
                                       op.compile(whole_context(context)));
}

}  // namespace rung
