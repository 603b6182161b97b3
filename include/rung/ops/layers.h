#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

// A layer is a function that adds named nodes and parameters to the graph of its argument. Names
// get the prefix of the open Scopes and equal PyTorch's state_dict keys. Weights and biases are
// drawn as PyTorch's layers draw theirs, from Graph::seed(), norms are the identity; other schemes
// are in rung/ops/init.h.
// Every function throws Error if the shapes do not fit or the name is taken.

namespace rung::nn {

struct Conv2dOptions {
  std::int64_t out_channels = 0;
  std::int64_t kernel = 0;  ///< square
  std::int64_t stride = 1;
  std::int64_t padding = 0;   ///< zeros on all four sides
  std::int64_t dilation = 1;  ///< 1 = dense
  std::int64_t groups = 1;
  bool bias = true;
};
/// Adds `name`.weight [O, C / groups, K, K], `name`.bias [O] and a Conv:
/// [N, C, H, W] -> [N, O, OH, OW]. torch.nn.Conv2d.
RUNG_API Var conv2d(Var x, const Conv2dOptions& options, std::string_view name);

struct LinearOptions {
  std::int64_t out_features = 0;
  bool bias = true;
};
/// Adds `name`.weight [O, I], `name`.bias [O] and a Gemm: [N, I] -> [N, O]. torch.nn.Linear.
RUNG_API Var linear(Var x, const LinearOptions& options, std::string_view name);

struct BatchNorm2dOptions {
  float epsilon = 1e-5f;
  float momentum = 0.1f;  ///< the weight of a new batch in the running statistics
};
/// Adds `name`.weight (1), .bias (0), .running_mean (0), .running_var (1), each [C], and a
/// BatchNormalization of x [N, C, H, W]. torch.nn.BatchNorm2d.
RUNG_API Var batch_norm2d(Var x, const BatchNorm2dOptions& options, std::string_view name);

/// Adds y = max(x, 0).
RUNG_API Var relu(Var x, std::string_view name);
/// Adds y = min(max(x, 0), 6), a Clip. torch.nn.ReLU6.
RUNG_API Var relu6(Var x, std::string_view name);
struct ClipOptions {
  float min = 0.0f;
  float max = 1.0f;
};
/// Adds y = min(max(x, options.min), options.max). torch.nn.Hardtanh.
RUNG_API Var clip(Var x, const ClipOptions& options, std::string_view name);
struct LeakyReluOptions {
  float alpha = 0.01f;  ///< slope below zero
};
/// Adds y = x where x > 0, alpha * x elsewhere.
RUNG_API Var leaky_relu(Var x, const LeakyReluOptions& options, std::string_view name);
/// Adds y = 1 / (1 + exp(-x)).
RUNG_API Var sigmoid(Var x, std::string_view name);
struct SoftmaxOptions {
  std::int64_t axis = -1;
};
/// Adds y = exp(x) / sum of exp(x) along the axis.
RUNG_API Var softmax(Var x, const SoftmaxOptions& options, std::string_view name);

/// Adds a + b; of different shapes as NumPy does (rung/ops/arithmetic.h).
RUNG_API Var add(Var a, Var b, std::string_view name);
/// Adds a * b element by element; of different shapes as NumPy does.
RUNG_API Var mul(Var a, Var b, std::string_view name);
struct ConcatOptions {
  std::int64_t axis = 1;
};
/// Adds the inputs laid behind each other along the axis (channels); the other extents are equal.
RUNG_API Var concat(const std::vector<Var>& inputs, const ConcatOptions& options,
                    std::string_view name);

struct Pool2dOptions {
  std::int64_t kernel = 0;                            ///< square
  std::optional<std::int64_t> stride = std::nullopt;  ///< the kernel if not given
  std::int64_t padding = 0;                           ///< on all four sides
  std::int64_t dilation = 1;                          ///< 1 = dense; maxima only
  bool ceil_mode = false;         ///< a last window may stick out of the padding (PyTorch's rule)
  bool count_include_pad = true;  ///< averages only: divide by the whole window
};
/// Adds the largest value of each window: [N, C, H, W] -> [N, C, OH, OW]. torch.nn.MaxPool2d.
RUNG_API Var max_pool2d(Var x, const Pool2dOptions& options, std::string_view name);
/// Adds the average of each window: [N, C, H, W] -> [N, C, OH, OW]. torch.nn.AvgPool2d.
RUNG_API Var avg_pool2d(Var x, const Pool2dOptions& options, std::string_view name);
/// Adds the average of each channel: [N, C, H, W] -> [N, C, 1, 1]. torch.nn.AdaptiveAvgPool2d(1).
RUNG_API Var global_avg_pool(Var x, std::string_view name);

/// Adds a view that keeps axis 0 and joins the rest: [N, C, H, W] -> [N, C * H * W].
RUNG_API Var flatten(Var x, std::string_view name);
/// Adds a view of another shape, in which 0 keeps the extent of that axis and one -1 takes what is
/// left: {0, -1} is flatten. Write the batch axis as 0 or -1, so that any batch size works.
RUNG_API Var reshape(Var x, std::vector<std::int64_t> shape, std::string_view name);

struct DropoutOptions {
  float ratio = 0.5f;  ///< probability of a zero, in [0, 1)
};
/// Adds, in Mode::train, zeros with probability `ratio` and the rest scaled by 1 / (1 - ratio);
/// in Mode::eval the identity. torch.nn.Dropout (Srivastava et al. 2014).
RUNG_API Var dropout(Var x, const DropoutOptions& options, std::string_view name);

}  // namespace rung::nn
