#pragma once

#include <span>
#include <string>

#include "kernels/epilogue.h"
#include "ops/quantize/quantizer_reading.h"
#include "rung/graph/kernel.h"

namespace rung {

/// The clipping and the QuantizeDequantize behind an op that the op's own kernel computes, in the
/// pass that writes its output (KernelContext::tails). What the quantizer is told at run time
/// (bitwidth, enabled) is read at every forward.
class Epilogue {
 public:
  explicit Epilogue(const KernelContext& context);
  /// What is between an op and a fused addition, whose other input and epilogue follow.
  static Epilogue before_addition(const KernelContext& context);

  /// True if nothing is fused.
  bool empty() const { return !bounds_.clips() && quantizer_ == nullptr; }
  /// True if a quantizer is fused, whether or not it is at work.
  bool has_quantizer() const { return quantizer_ != nullptr; }
  /// True if the quantizer's parameters want gradients.
  bool learns() const { return learns_; }
  /// True if a calibration wants to see what is written, in the forward pass of the last begin().
  bool observes() const { return seen_ != nullptr; }
  /// Returns the bounds that the numbers are clipped to, without the quantizer.
  const kernels::Epilogue& bounds() const { return bounds_; }
  /// Returns "", "+relu", "+clip", "+qdq" or "+relu+qdq".
  std::string suffix() const;

  /// Reads the quantizer; returns what to do with every number of this forward pass.
  const kernels::Epilogue& begin(const Io& io);
  /// Shows y to the calibration that observes it; it was not quantized then.
  void end(const View& y) const;
  /// Returns what begin() did: for the backward that belongs to it.
  const kernels::Epilogue& last() const { return epilogue_; }
  /// True if the quantizer's output fits into bytes: as Kernel::packs() and the following.
  bool packs() const { return quantizer_ != nullptr && quantizer_->fits_byte(); }
  void pack(const View& y, std::uint8_t* codes) const { reading_.pack(y, codes); }
  void unpack(const std::uint8_t* codes, const View& y) const { reading_.unpack(codes, y); }
  /// Writes the gradients of the quantizer's parameters, if wanted. `count` is the number of
  /// numbers, without padding.
  void write_gradients(const GradIo& io, kernels::AffineSums sums, std::int64_t count) const;

 private:
  Epilogue(const KernelContext& context, const Tail* clip, const Tail* quantizer);

  const QuantizeDequantize* quantizer_;
  std::string node_;
  kernels::Epilogue bounds_;
  bool learns_ = false;
  std::size_t first_ = 0, end_ = 0;  // the quantizer's parameters among the inputs
  QuantizerReading reading_;
  kernels::Epilogue epilogue_;
  Observation* seen_ = nullptr;
};

}  // namespace rung
