#include "ops/quantize/quantize_dequantize_kernel.h"

#include <algorithm>

#include "core/check.h"
#include "kernels/reorder.h"
#include "ops/common.h"
#include "rung/core/parallel.h"

namespace rung {
namespace {

void copy(std::span<const float> from, std::span<float> to) {
  if (from.data() == to.data()) return;
  parallel_for(static_cast<std::int64_t>(from.size()), kGrain,
               [&](std::int64_t begin, std::int64_t end) {
                 std::copy(from.begin() + begin, from.begin() + end, to.begin() + begin);
               });
}

}  // namespace

QuantizeDequantizeKernel::QuantizeDequantizeKernel(const QuantizeDequantize& op,
                                                   const KernelContext& context)
    : op_(op),
      node_(context.name),
      runs_(op.quantizer().axis() ? context.inputs[0] : Shape{}, op.quantizer().granularity()) {
  // Per tensor every number is treated alike and zero stays zero, so any format will do, padding
  // included. Channels, and quantizers of a user, need the numbers in order.
  const bool any = op.quantizer().any_order() && !op.quantizer().axis();
  const Format format = any ? context.formats[0] : Format::plain;
  input_formats.assign(context.inputs.size(), Format::plain);
  input_formats[0] = format;
  output_formats = {format};
  gives_codes_ = context.gives_codes;
  needs = op.backward_needs();
  const bool learns =
      std::any_of(context.wants.begin(), context.wants.end(), [](bool w) { return w; });
  if (learns && !context.wants[0])
    scratch_backward = bytes_of<float>(kernels::padded_count(context.inputs[0], format));
}

std::string QuantizeDequantizeKernel::name() const {
  return op_.quantizer().runs_fused() ? fmt::format("qdq:{}", kernels::isa_name())
                                      : fmt::format("qdq:{} (unfused)", op_.quantizer().kind());
}

void QuantizeDequantizeKernel::forward(const Io& io) try {
  const View& x = io.input(0);
  const Quantizer& quantizer = op_.quantizer();
  quantized_ = quantizes(op_, io.observers());
  if (Observation* seen = observation_of(op_, io.observers())) seen->see(x);
  if (!quantized_) return pass(io);

  if (op_.recomputed() && !op_.frozen() && op_.initialized()) recompute(io);
  reading_.read_parameters(op_, io, 1);
  rounding_ = {quantizer.stochastic_rounding() && io.mode() == Mode::train, io.rng().next()};
  if (!quantizer.runs_fused())
    return quantizer.forward(
        {x.span(), shape_of(x), reading_.parameters, io.output(0).span(), rounding_});
  reading_.read_encoding(op_);
  if (io.output(0).data != nullptr) quantize(x, io.output(0));
  if (gives_codes_) write_codes(x, io.output(1));
} catch (const Error& error) {
  fail("[QuantizeDequantize {}] {}", node_, error.what());
}

/// Estimates the range of a parameter from its present values (or of what is made of parameters).
void QuantizeDequantizeKernel::recompute(const Io& io) {
  std::vector<Parameter*> parameters;
  for (std::size_t i = 1; i < io.input_count(); ++i) parameters.push_back(io.parameter(i));
  op_.recompute(io.input(0).span(), *io.input(0).shape, parameters);
}

std::int64_t QuantizeDequantizeKernel::piece_length() const {
  return op_.quantizer().axis() ? std::max<std::int64_t>(1, runs_.length()) : kGrain;
}

std::int64_t QuantizeDequantizeKernel::pieces(const View& x) const {
  return (x.count + piece_length() - 1) / piece_length();
}

std::int64_t QuantizeDequantizeKernel::pieces_per_chunk() const {
  return std::max<std::int64_t>(1, kGrain / piece_length());
}

QuantizeDequantizeKernel::Piece QuantizeDequantizeKernel::piece(const View& x,
                                                                std::int64_t index) const {
  const std::int64_t start = index * piece_length();
  return {start, std::min(piece_length(), x.count - start),
          op_.quantizer().axis() ? runs_.channel(index) : 0};
}

/// The shape in which the specification sees x: per tensor, padding counts like everything else.
Shape QuantizeDequantizeKernel::shape_of(const View& x) const {
  return x.format == Format::plain ? *x.shape : Shape{x.count};
}

/// y = x: as real numbers, and where codes were expected as numbers of scale 1.
void QuantizeDequantizeKernel::pass(const Io& io) {
  if (io.output(0).data != nullptr) copy(io.input(0).span(), io.output(0).span());
  for (std::size_t i = 0; i < (gives_codes_ ? 2u : 1u); ++i)
    if (io.output(i).reach != nullptr && io.input(0).reach != nullptr)
      *io.output(i).reach = *io.input(0).reach;
  if (!gives_codes_) return;
  copy(io.input(0).span(), io.output(1).span());
  *io.output(1).codes = {.scale = {1.0f}, .largest = 0.0f, .whole = false};
}

void QuantizeDequantizeKernel::write_codes(const View& x, const View& q) {
  if (!reading_.exact_in_float()) {  // float32 cannot hold these codes
    quantize(x, q);
    *q.codes = {.scale = {1.0f}, .largest = 0.0f, .whole = false};
    return;
  }
  q.codes->scale = reading_.encoding.scale;
  q.codes->whole = true;
  q.codes->largest = 0.0f;
  for (const std::int64_t offset : reading_.encoding.offset) {
    const Grid& grid = reading_.encoding.grid;
    const std::int64_t largest =
        std::max(std::abs(grid.qmin + offset), std::abs(grid.qmax + offset));
    q.codes->largest = std::max(q.codes->largest, static_cast<float>(largest));
  }
  const auto& kernel = kernels::quantize_kernels();
  parallel_for(pieces(x), pieces_per_chunk(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto [start, count, channel] = piece(x, i);
      kernel.codes(x.data + start, q.data + start, count, reading_.params(channel));
    }
  });
}

void QuantizeDequantizeKernel::quantize(const View& x, const View& y) {
  if (!reading_.exact_in_float())  // the specification computes in double then
    return quantize_dequantize(x.span(), shape_of(x), reading_.encoding, y.span(), rounding_);
  const auto& kernel = kernels::quantize_kernels();
  parallel_for(pieces(x), pieces_per_chunk(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto [start, count, channel] = piece(x, i);
      if (rounding_.stochastic)
        kernel.forward_stochastic(x.data + start, y.data + start, count, reading_.params(channel),
                                  {rounding_.seed, static_cast<std::uint64_t>(start)});
      else
        kernel.forward(x.data + start, y.data + start, count, reading_.params(channel));
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
  const Quantizer& quantizer = op_.quantizer();
  quantizer.runs_fused() && !quantizer.has_own_gradient() ? fused_backward(io)
                                                          : unfused_backward(io);
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
  const auto gradients = wanted(io);
  op_.quantizer().backward({x.span(), io.output_grad(0).span(), shape_of(x), reading_.parameters,
                            io.wants(0) ? io.input_grad(0).span() : std::span<float>{}, gradients,
                            rounding_});
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
  if (reading_.exact_in_float() && !(learns && rounding_.stochastic)) {
    const auto& kernel = kernels::quantize_kernels();
    const std::int64_t total = pieces(x);
    sums_.assign(static_cast<std::size_t>(learns ? total : 0), {});
    intervals_.clear();
    for (std::int64_t c = 0; c < reading_.encoding.channels(); ++c)
      intervals_.push_back(kernels::passes(reading_.params(c)));
    parallel_for(total, pieces_per_chunk(), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto [start, count, channel] = piece(x, i);
        const float *px = x.data + start, *pdy = dy.data + start;
        const kernels::Interval passes = intervals_[static_cast<std::size_t>(channel)];
        if (learns)
          sums_[static_cast<std::size_t>(i)] =
              kernel.backward(px, pdy, dx.data() + start, count, reading_.params(channel), passes);
        else
          kernel.backward_data(px, pdy, dx.data() + start, count, passes);
      }
    });
    gradient.scale.assign(reading_.encoding.scale.size(), 0.0);
    gradient.offset.assign(reading_.encoding.scale.size(), 0.0);
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      const auto channel = static_cast<std::size_t>(piece(x, static_cast<std::int64_t>(i)).channel);
      gradient.scale[channel] += sums_[i].scale;
      gradient.offset[channel] += sums_[i].offset;
    }
  } else {
    gradient = quantize_dequantize_backward(x.span(), dy.span(), shape_of(x), reading_.encoding, dx,
                                            rounding_);
  }
  gradient.count = x.shape->numel() / std::max<std::int64_t>(1, reading_.encoding.channels());
  if (learns) op_.quantizer().chain(gradient, reading_.encoding, reading_.parameters, gradients);
}

}  // namespace rung
