#pragma once

#include <string>
#include <vector>

#include "kernels/quantize.h"
#include "ops/quantize/quantizer_reading.h"
#include "quant/channels.h"
#include "rung/graph/kernel.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung {

/// Runs a QuantizeDequantize node. What the op is told at run time (bitwidth, enabled) is
/// read at every forward, so that no change of it needs a new plan.
class QuantizeDequantizeKernel final : public Kernel {
 public:
  QuantizeDequantizeKernel(const QuantizeDequantize& op, const KernelContext& context);
  std::string name() const override;
  /// A user's quantizer may read a number after writing another.
  bool in_place() const override { return op_.quantizer().runs_fused(); }
  bool packs() const override { return op_.fits_byte(); }
  void pack(const View& y, std::uint8_t* codes) const override { reading_.pack(y, codes); }
  void unpack(const std::uint8_t* codes, const View& y) const override {
    reading_.unpack(codes, y);
  }
  void forward(const Io& io) override;
  void backward(const GradIo& io) override;

 private:
  /// A stretch of numbers that share scale and offset.
  struct Piece {
    std::int64_t start, count, channel;
  };
  void recompute(const Io& io);
  void pass(const Io& io);
  void quantize(const View& x, const View& y);
  void write_codes(const View& x, const View& q);
  void fused_backward(const GradIo& io);
  void unfused_backward(const GradIo& io);
  /// Cuts x into pieces: runs of a channel, or of fixed length if one encoding serves all.
  std::int64_t piece_length() const;
  std::int64_t pieces(const View& x) const;
  std::int64_t pieces_per_chunk() const;
  Piece piece(const View& x, std::int64_t index) const;
  Shape shape_of(const View& x) const;

  const QuantizeDequantize& op_;
  std::string node_;
  ChannelRuns runs_;  // if there are channels; else any pieces will do
  bool gives_codes_ = false;
  // Of the last forward, for the backward that belongs to it.
  bool quantized_ = false;
  Rounding rounding_;
  QuantizerReading reading_;
  std::vector<kernels::Interval> intervals_;  // one per channel: whose gradient passes
  std::vector<kernels::AffineSums> sums_;     // one per piece, added up in order
};

}  // namespace rung
