#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "rung/graph/graph.h"

namespace rung {

class Observers;

/// Returns the scales scale_x * scale_w[c] of the int32 codes of a bias, one per output channel or
/// one in all. Empty unless the node is a layer with a bias that has no quantizer of its own, whose
/// input and weight are quantized to whole numbers: x by the nearest quantizer before the op,
/// behind ops that only move data and products with positive constants, whose factor counts.
/// Neither may be without a range, nor among the observers of a calibration under way. The bias may
/// be one that is folded in simulation. Of blocks the largest scale counts, of grouped blocks the
/// float scale that they share. AIMET: export_int32_bias.
std::vector<float> bias_scales(const Node& node, const Observers* observers = nullptr);

/// Returns the code rint(value / scale) of one number, none if it is not an int32.
std::optional<std::int32_t> bias_code(float value, float scale);

/// Gives every number of a layer's bias the value code * scale of its int32 code, in the float32
/// arithmetic of ONNX's DequantizeLinear. Nothing changes where bias_scales() is empty; nor does a
/// number without a code.
void round_bias(const Node& node, std::span<float> bias, const Observers* observers);

}  // namespace rung
