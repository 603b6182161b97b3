#pragma once

#include <string>
#include <string_view>

#include "golden/golden.h"
#include "golden/golden_model.h"
#include "rung/ops/activations.h"
#include "rung/ops/arithmetic.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/layers.h"
#include "rung/ops/shape_ops.h"

// The networks of tests/golden/ptq, with batch norms folded.

namespace golden {

/// Builds them layer by layer, with the channels and the weights of a safetensors file.
class PtqNetworks {
 public:
  /// `file` holds the folded weights, `image_size` is that of the data.
  PtqNetworks(const std::string& file, std::int64_t image_size)
      : weights_(tensors(file)), image_size_(image_size) {}

  /// Returns `net` or `aux`.
  rung::Graph build(std::string_view which) {
    rung::Graph graph;
    const rung::Var x = graph.input("input", {1, 3, image_size_, image_size_});
    graph.set_outputs({which == "net" ? net(x) : aux(x)});
    for (rung::Parameter* parameter : graph.parameters())
      parameter->edit().copy_from(tensor(weights_.at(parameter->name())));
    check_all_used(weights_);
    return graph;
  }

 private:
  std::int64_t extent(const std::string& layer, std::size_t axis) const {
    return weights_.at(layer + ".weight").shape.at(axis);
  }
  /// Adds a convolution with padding that keeps the image's size at stride 1.
  rung::Var conv(rung::Var x, const std::string& name, std::int64_t stride = 1,
                 std::int64_t dilation = 1) const {
    const std::int64_t kernel = extent(name, 2);
    return rung::nn::conv2d(x,
                            {.out_channels = extent(name, 0),
                             .kernel = kernel,
                             .stride = stride,
                             .padding = kernel / 2 * dilation,
                             .dilation = dilation,
                             .groups = x.channels() / extent(name, 1)},
                            name);
  }

  rung::Var net(rung::Var x) const {
    namespace nn = rung::nn;
    x = nn::relu(conv(x, "conv1"), "relu1");
    x = nn::relu(conv(x, "conv2", 2), "relu2");
    x = nn::relu(conv(x, "dw"), "relu3");
    const rung::Var p = conv(x, "pw");
    x = conv(nn::relu(conv(p, "conv5"), "relu5"), "conv6");
    x = nn::relu(nn::add(p, x, "add"), "relu6");
    x = nn::relu(conv(conv(x, "conv7", 2), "conv8"), "relu8");
    x = nn::flatten(nn::global_avg_pool(x, "avgpool"), "flatten");
    return nn::linear(x, {.out_features = extent("fc", 0)}, "fc");
  }

  rung::Var aux(rung::Var x) const {
    namespace nn = rung::nn;
    x = nn::relu(conv(x, "c1"), "r1");
    x = nn::conv_transpose2d(
        x, {.out_channels = extent("t2", 1), .kernel = extent("t2", 2), .stride = 2}, "t2");
    x = nn::prelu(x, {.channels = x.channels()}, "r2");
    x = nn::relu(conv(x, "c3", 2, 2), "r3");
    x = nn::relu(conv(x, "g4"), "r4");
    x = nn::relu(conv(x, "c5"), "r5");
    return conv(conv(x, "d6"), "c7");
  }

  Tensors weights_;
  std::int64_t image_size_;
};

}  // namespace golden
