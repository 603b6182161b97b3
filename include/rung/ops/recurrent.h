#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

namespace rung::nn {

struct RecurrentOptions {
  std::string cell = "GRU";  ///< GRU, LSTM or RNN
  std::int64_t hidden_size = 0;
  std::string direction = "forward";  ///< or reverse, or bidirectional
  bool linear_before_reset = true;    ///< of GRU: PyTorch's form; ONNX's default is the other one
  bool relu = false;                  ///< of RNN: instead of tanh
};
/// Runs a recurrent cell over x [T, N, I], from a state of zeros, and adds its state after each
/// step, [T, D, N, H] with D = 2 in both directions, else 1. Adds `name`.weight [D, G H, I],
/// `name`.recurrence [D, G H, H] and `name`.bias [D, 2 G H], with ONNX's order of the G gates: zrh
/// for GRU (G = 3), iofc for LSTM (4), one for RNN. ONNX: GRU, LSTM, RNN.
RUNG_API Var recurrent(Var x, const RecurrentOptions& options, std::string_view name);

}  // namespace rung::nn
