#pragma once

#include "rung/core/export.h"
#include "rung/core/rng.h"
#include "rung/graph/graph.h"

namespace rung::nn {

/// How the weights of a layer are drawn.
enum class InitScheme {
  kaiming_normal_fan_out,  ///< normal, std = sqrt(2 / fan_out): torchvision's ResNet (He et al.
                           ///< 2015)
  kaiming_uniform_fan_in,  ///< uniform in +-1 / sqrt(fan_in): PyTorch's default, kaiming with a =
                           ///< sqrt 5
  normal_0_01              ///< normal, std = 0.01: linear layers of torchvision's VGG, MobileNetV2
};

/// How biases are drawn.
enum class BiasInit {
  uniform_fan_in,  ///< uniform in +-1 / sqrt(fan_in of the weight): PyTorch's default
  zeros
};

struct InitOptions {
  InitScheme conv = InitScheme::kaiming_uniform_fan_in;
  InitScheme linear = InitScheme::kaiming_uniform_fan_in;
  BiasInit bias = BiasInit::uniform_fan_in;
};

/// Draws again what layers drew when they were added, with another seed or scheme, as their traits
/// say (FirstValues): the weights and biases of every Conv, Gemm, ConvTranspose and recurrent cell
/// of the graph (the last two always as PyTorch); and sets batch norms to the identity (weight 1,
/// bias 0, running mean 0, running variance 1). Each parameter draws from rng.split(its name), so
/// the order of the layers never matters. Layers draw with the default options from
/// Rng(*graph.seed()).split("init").
RUNG_API void init_parameters(Graph& graph, const Rng& rng, const InitOptions& options = {});

}  // namespace rung::nn
