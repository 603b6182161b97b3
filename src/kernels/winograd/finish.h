#pragma once

#include <cstdint>

#include "kernels/epilogue.h"

namespace rung::kernels::winograd {

/// What becomes of a convolution's output in the pass that writes it.
struct Finish {
  const float* bias = nullptr;   ///< per channel, for the kernels in whole blocks
  const float* added = nullptr;  ///< a tensor like the output
  Epilogue epilogue = {};        ///< then
  std::uint8_t* mask = nullptr;  ///< if not nullptr gets a bit per number: its gradient passes
};

}  // namespace rung::kernels::winograd
