#pragma once

#include <string>

#include "backend/onednn.h"
#include "kernels/winograd/convolution.h"
#include "rung/graph/op.h"

namespace rung {

/// The three passes of a convolution; each has an algorithm of its own.
enum class ConvPass { forward, backward_data, backward_weights };

/// Returns true if Winograd's convolution is faster than oneDNN's direct one for these sizes on
/// this instruction set: a fixed rule, so that the same program gives the same bits. `sizes` are
/// those of the pass itself (for backward_data the transposed ones). The rules come from
/// `rung bench --tune`.
bool winograd_is_faster(ConvPass pass, const kernels::winograd::Sizes& sizes);

/// Returns which one is faster when both run on random numbers; `spec` is the convolution.
ConvAlgorithm measure_conv(ConvPass pass, const backend::ConvolutionSpec& spec);

/// Returns how ConvChoices calls a pass of a convolution.
std::string conv_key(ConvPass pass, const backend::ConvolutionSpec& spec);

/// Returns the sizes of a 3 x 3 convolution of stride 1.
kernels::winograd::Sizes winograd_sizes(const backend::ConvolutionSpec& spec);

}  // namespace rung
