#include "ops/quantize/epilogue.h"

#include <algorithm>
#include <vector>

#include "core/check.h"

namespace rung {

Epilogue::Epilogue(const KernelContext& context)
    : Epilogue(context, Tails::of(context.tails)->clip, Tails::of(context.tails)->quantizer) {}

Epilogue Epilogue::before_addition(const KernelContext& context) {
  return Epilogue(context, nullptr, Tails::of(context.tails)->quantizer_before_addition);
}

Epilogue::Epilogue(const KernelContext& context, const Tail* clip, const Tail* quantizer)
    : quantizer_(quantizer == nullptr
                     ? nullptr
                     : dynamic_cast<const QuantizeDequantize*>(quantizer->quantizer)),
      node_(context.name) {
  if (clip != nullptr) bounds_ = {.low = clip->low, .high = clip->high};
  if (quantizer_ == nullptr) return;
  learns_ = quantizer->learns;
  first_ = quantizer->first_input;
  end_ = first_ + quantizer_->quantizer().parameters().size();
}

std::string Epilogue::suffix() const {
  const bool is_relu = bounds_.low == 0.0f && bounds_.high == kernels::Epilogue().high;
  return std::string(!bounds_.clips() ? ""
                     : is_relu        ? "+relu"
                                      : "+clip")
      .append(quantizer_ != nullptr ? "+qdq" : "");
}

const kernels::Epilogue& Epilogue::begin(const Io& io) {
  epilogue_ = bounds_;
  if (quantizer_ == nullptr) return epilogue_;
  seen_ = observation_of(*quantizer_, io.observers());
  if (!quantizes(*quantizer_, io.observers())) return epilogue_;
  try {
    reading_.read_parameters(*quantizer_, io, first_);
    reading_.read_encoding(*quantizer_);
  } catch (const Error& error) {
    fail("[QuantizeDequantize {}] {}", node_, error.what());
  }
  epilogue_.quantizes = true;
  epilogue_.affine = reading_.params();
  return epilogue_;
}

void Epilogue::end(const View& y) const {
  if (!observes()) return;
  try {
    seen_->see(y);
  } catch (const Error& error) {
    fail("[QuantizeDequantize {}] {}", node_, error.what());
  }
}

void Epilogue::write_gradients(const GradIo& io, kernels::AffineSums sums,
                               std::int64_t count) const {
  if (!learns_) return;
  std::vector<std::span<float>> gradients;
  for (std::size_t i = first_; i < end_; ++i) {
    gradients.push_back(io.wants(i) ? io.input_grad(i).span() : std::span<float>{});
    std::ranges::fill(gradients.back(), 0.0f);
  }
  if (!epilogue_.quantizes) return;
  const EncodingGradient gradient{.scale = {sums.scale}, .offset = {sums.offset}, .count = count};
  quantizer_->quantizer().chain(gradient, reading_.encoding, reading_.parameters, gradients);
}

}  // namespace rung
