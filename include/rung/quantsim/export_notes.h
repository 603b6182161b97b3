#pragma once

#include <span>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

/// Returns how far the outputs of a sim move when its biases become int32, as in the exported file:
/// the signal-to-noise ratio in dB, 10 log10(sum y^2 / sum (y' - y)^2), of the output that moves
/// most; infinity if none does, as in a sim with int32_biases. Each element of `inputs` is a batch
/// of the graph's first input, which has to be its only one.
RUNG_API double int32_bias_sqnr(const QuantizationSimModel& sim, std::span<const Tensor> inputs);

/// Returns what the file that export_to writes with these options, and ONNX Runtime with its
/// default settings, make different from the simulation, one line each: how far int32 biases move
/// the outputs (measured on 8 random inputs that fill the range of the input quantizer, always the
/// same), biases that stay float, weights whose scales are enlarged, 4-bit types, a Softmax whose
/// range ends below 1. Empty without <prefix>_qdq.onnx.
RUNG_API std::vector<std::string> export_notes(const QuantizationSimModel& sim,
                                               const ExportOptions& options = {});

}  // namespace rung
