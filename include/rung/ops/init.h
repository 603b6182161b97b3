#pragma once

#include "rung/core/export.h"
#include "rung/core/rng.h"
#include "rung/graph/graph.h"

namespace rung::nn {

/// How convolution weights are drawn. Linear layers and biases always follow PyTorch's defaults:
/// uniform in +-1 / sqrt(fan_in).
enum class InitScheme {
  kaiming_normal_fan_out,  ///< normal, std = sqrt(2 / fan_out): torchvision's ResNet (He et al.
                           ///< 2015)
  kaiming_uniform_fan_in   ///< uniform in +-1 / sqrt(fan_in): PyTorch's default, kaiming with a =
                           ///< sqrt 5
};

struct InitOptions {
  InitScheme conv = InitScheme::kaiming_normal_fan_out;
};

/// Draws the weights and biases of every Conv and Gemm of the graph and sets batch norms to the
/// identity (weight 1, bias 0, running mean 0, running variance 1). Each parameter draws from
/// rng.split(its name), so the order of the layers never matters.
RUNG_API void init_parameters(Graph& graph, const Rng& rng, const InitOptions& options = {});

}  // namespace rung::nn
