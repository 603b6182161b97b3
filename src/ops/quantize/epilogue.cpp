#include "ops/quantize/epilogue.h"

#include <algorithm>
#include <vector>

#include "core/check.h"

namespace rung {

Epilogue::Epilogue(const KernelContext& context)
    : Epilogue(context, context.fused_relu, context.fused_quantizer, context.inputs.size()) {}

Epilogue Epilogue::before_add(const KernelContext& context) {
  const std::size_t residual = Epilogue(context).own_inputs() - 1;
  return Epilogue(context, false, context.quantizer_before_add, residual);
}

Epilogue::Epilogue(const KernelContext& context, bool relu, const Op* quantizer, std::size_t end)
    : quantizer_(dynamic_cast<const QuantizeDequantize*>(quantizer)),
      node_(context.name),
      relu_(relu),
      own_inputs_(end),
      end_(end) {
  if (quantizer_ == nullptr) return;
  own_inputs_ -= quantizer_->quantizer().parameters().size();
  learns_ = std::ranges::any_of(context.wants.subspan(own_inputs_, end_ - own_inputs_),
                                [](bool wants) { return wants; });
}

std::string Epilogue::suffix() const {
  return std::string(relu_ ? "+relu" : "").append(quantizer_ != nullptr ? "+qdq" : "");
}

const kernels::Epilogue& Epilogue::begin(const Io& io) {
  epilogue_ = {.relu = relu_};
  if (quantizer_ == nullptr) return epilogue_;
  seen_ = observation_of(*quantizer_, io.observers());
  if (!quantizes(*quantizer_, io.observers())) return epilogue_;
  try {
    reading_.read_parameters(*quantizer_, io, own_inputs_);
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
  for (std::size_t i = own_inputs_; i < end_; ++i) {
    gradients.push_back(io.wants(i) ? io.input_grad(i).span() : std::span<float>{});
    std::ranges::fill(gradients.back(), 0.0f);
  }
  if (!epilogue_.quantizes) return;
  const EncodingGradient gradient{.scale = {sums.scale}, .offset = {sums.offset}, .count = count};
  quantizer_->quantizer().chain(gradient, reading_.encoding, reading_.parameters, gradients);
}

}  // namespace rung
