#include "ops/quantize_dequantize_kernel.h"

#include <algorithm>

#include "core/format.h"
#include "ops/observation.h"
#include "quant/channels.h"
#include "rung/core/parallel.h"

namespace rung {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // numbers per piece of work: 64 KiB, inside the L2 cache

std::int64_t padded_count(const Shape& shape, Format format) {
  if (format == Format::plain) return shape.numel();
  const auto block = static_cast<std::int64_t>(format);
  const std::int64_t padded = (shape[1] + block - 1) / block * block;
  return shape[1] == 0 ? 0 : shape.numel() / shape[1] * padded;
}

void copy(std::span<const float> from, std::span<float> to) {
  parallel_for(static_cast<std::int64_t>(from.size()), kGrain,
               [&](std::int64_t begin, std::int64_t end) {
                 std::copy(from.begin() + begin, from.begin() + end, to.begin() + begin);
               });
}

}  // namespace

QuantizeDequantizeKernel::QuantizeDequantizeKernel(const QuantizeDequantize& op,
                                                   const KernelContext& context)
    : op_(op), node_(context.name) {
  // Per tensor every number is treated alike and zero stays zero, so any format will do, padding
  // included. Channels, and quantizers of a user, need the numbers in order.
  const bool any_format = !op.quantizer().axis() && op.quantizer().runs_fused();
  const Format format = any_format ? context.formats[0] : Format::plain;
  input_formats.assign(context.inputs.size(), Format::plain);
  input_formats[0] = format;
  output_formats = {format};
  needs = op.backward_needs();
  const bool learns =
      std::any_of(context.wants.begin(), context.wants.end(), [](bool w) { return w; });
  if (learns && !context.wants[0]) scratch_backward = padded_count(context.inputs[0], format);
}

std::string QuantizeDequantizeKernel::name() const {
  return op_.quantizer().runs_fused() ? fmt::format("qdq:{}", kernels::isa_name())
                                      : fmt::format("qdq:{} (unfused)", op_.quantizer().kind());
}

void QuantizeDequantizeKernel::forward(const Io& io) try {
  const View &x = io.input(0), &y = io.output(0);
  const Quantizer& quantizer = op_.quantizer();
  const bool observes = op_.enabled() && op_.mode() == QuantizeMode::observe;
  quantized_ = op_.enabled() && op_.mode() == QuantizeMode::quantize && !quantizer.pass_through();
  if (observes) {
    require(!op_.estimators().empty(), "call begin_observing() before mode observe");
    observe(op_.estimators(),
            quantizer.axis() ? stretches(x.span(), *x.shape, quantizer.axis(), quantizer.channels())
                             : stretches(x));
  }
  if (!quantized_) return copy(x.span(), y.span());

  require(op_.initialized(),
          "has no encoding yet: run compute_encodings(), set a range, or disable it");
  values_.clear();
  for (std::size_t i = 1; i < io.input_count(); ++i) {
    const auto value = io.input(i).span();
    values_.emplace_back(value.begin(), value.end());
  }
  parameters_.assign(values_.begin(), values_.end());
  if (!quantizer.runs_fused())
    return quantizer.forward({x.span(), *x.shape, parameters_, y.span()});
  encoding_ = quantizer.encoding(parameters_);
  for (const std::int64_t offset : encoding_.offset)  // else padded channels would not stay zero
    require(encoding_.grid.qmin <= -offset && -offset <= encoding_.grid.qmax,
            "a quantizer of kind {} must keep zero on its grid {} .. {}, got the offset {}",
            quantizer.kind(), encoding_.grid.qmin, encoding_.grid.qmax, offset);
  quantize(x, y);
} catch (const Error& error) {
  fail("[QuantizeDequantize {}] {}", node_, error.what());
}

std::int64_t QuantizeDequantizeKernel::piece_count(const View& x) const {
  if (!encoding_.axis) return kGrain;
  return channel_runs(*x.shape, encoding_.axis, encoding_.channels()).inner;
}

std::int64_t QuantizeDequantizeKernel::pieces(const View& x) const {
  const std::int64_t each = piece_count(x);
  return x.count == 0 ? 0 : (x.count + each - 1) / each;
}

std::int64_t QuantizeDequantizeKernel::pieces_per_chunk(const View& x) const {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, piece_count(x)));
}

QuantizeDequantizeKernel::Piece QuantizeDequantizeKernel::piece(const View& x,
                                                                std::int64_t index) const {
  const std::int64_t start = index * piece_count(x);
  return {start, std::min(piece_count(x), x.count - start), index % encoding_.channels()};
}

kernels::AffineParams QuantizeDequantizeKernel::params(std::int64_t channel) const {
  const auto c = static_cast<std::size_t>(channel);
  return {encoding_.scale[c], static_cast<float>(encoding_.offset[c]),
          static_cast<float>(encoding_.grid.qmin), static_cast<float>(encoding_.grid.qmax)};
}

void QuantizeDequantizeKernel::quantize(const View& x, const View& y) {
  if (!exact_in_float()) {  // the specification computes in double then
    const Shape shape = encoding_.axis ? *x.shape : Shape{x.count};
    return quantize_dequantize(x.span(), shape, encoding_, y.span());
  }
  const auto& kernel = kernels::quantize_kernels();
  parallel_for(pieces(x), pieces_per_chunk(x), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto [start, count, channel] = piece(x, i);
      kernel.forward(x.data + start, y.data + start, count, params(channel));
    }
  });
}

void QuantizeDequantizeKernel::backward(const GradIo& io) {
  if (!quantized_) {
    if (io.wants(0)) copy(io.output_grad(0).span(), io.input_grad(0).span());
    for (std::size_t i = 1; i < io.input_count(); ++i)
      if (io.wants(i)) std::ranges::fill(io.input_grad(i).span(), 0.0f);
    return;
  }
  op_.quantizer().runs_fused() ? fused_backward(io) : unfused_backward(io);
}

namespace {

/// The parameters' gradients that are wanted; the others are empty.
std::vector<std::span<float>> wanted(const GradIo& io) {
  std::vector<std::span<float>> gradients;
  for (std::size_t i = 1; i < io.input_count(); ++i)
    gradients.push_back(io.wants(i) ? io.input_grad(i).span() : std::span<float>{});
  return gradients;
}

}  // namespace

void QuantizeDequantizeKernel::unfused_backward(const GradIo& io) {
  const View& x = io.input(0);
  op_.quantizer().backward({x.span(), io.output_grad(0).span(), *x.shape, parameters_,
                            io.wants(0) ? io.input_grad(0).span() : std::span<float>{},
                            wanted(io)});
}

void QuantizeDequantizeKernel::fused_backward(const GradIo& io) {
  const View &x = io.input(0), &dy = io.output_grad(0);
  const auto gradients = wanted(io);
  const bool learns =
      std::any_of(gradients.begin(), gradients.end(), [](auto g) { return !g.empty(); });
  if (!learns && !io.wants(0)) return;
  const std::span<float> dx =
      io.wants(0) ? io.input_grad(0).span() : std::span(io.scratch(), x.span().size());
  EncodingGradient gradient;
  if (exact_in_float()) {
    const auto& kernel = kernels::quantize_kernels();
    const std::int64_t total = pieces(x);
    sums_.assign(static_cast<std::size_t>(learns ? total : 0), {});
    parallel_for(total, pieces_per_chunk(x), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto [start, count, channel] = piece(x, i);
        const float *px = x.data + start, *pdy = dy.data + start;
        if (learns)
          sums_[static_cast<std::size_t>(i)] =
              kernel.backward(px, pdy, dx.data() + start, count, params(channel));
        else
          kernel.backward_data(px, pdy, dx.data() + start, count, params(channel));
      }
    });
    gradient.scale.assign(encoding_.scale.size(), 0.0);
    gradient.offset.assign(encoding_.scale.size(), 0.0);
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      const std::size_t channel = i % encoding_.scale.size();
      gradient.scale[channel] += sums_[i].scale;
      gradient.offset[channel] += sums_[i].offset;
    }
  } else {
    const Shape shape = encoding_.axis ? *x.shape : Shape{x.count};
    gradient = quantize_dequantize_backward(x.span(), dy.span(), shape, encoding_, dx);
  }
  if (learns) op_.quantizer().chain(gradient, encoding_, parameters_, gradients);
}

}  // namespace rung
