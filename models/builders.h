#pragma once

#include <array>
#include <cstdint>

#include "rung/models.h"

// The graphs of the models, with weights of zero; registry.cpp names them and draws the weights.

namespace rung::models {

/// Builds the 6 n + 2 layers of He et al. 2015, section 4.2, with n blocks in each of 3 stages.
Graph cifar_resnet(std::int64_t blocks_per_stage, const ModelOptions& options);
/// Builds torchvision's residual network with this many basic blocks in each of 4 stages.
Graph imagenet_resnet(const std::array<std::int64_t, 4>& blocks, const ModelOptions& options);
/// Builds LeCun et al. 1998 with ReLU and max pooling.
Graph lenet_graph(const ModelOptions& options);

}  // namespace rung::models
