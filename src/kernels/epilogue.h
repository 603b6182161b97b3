#pragma once

#include <cstdint>

#include "kernels/dispatch.h"
#include "kernels/quantize.h"

namespace rung::kernels {

/// What becomes of a number in the pass that writes it: Relu, then QuantizeDequantize.
struct Epilogue {
  bool relu = false, quantizes = false;
  AffineParams affine = {};  ///< if it quantizes
};

/// Returns the numbers, before the epilogue, whose gradient passes it. Relu passes what is above 0.
Interval passes(const Epilogue& epilogue);

/// Loops over `count` numbers of one chunk; the functions below run them on all threads. A mask has
/// a bit per number, the lowest of a byte first: set where the gradient passes.
struct EpilogueKernels {
  void (*finish)(const float* v, float* y, std::int64_t count, const Epilogue& epilogue,
                 Interval passes, std::uint8_t* mask);
  void (*add)(const float* a, const float* b, float* y, std::int64_t count,
              const Epilogue& epilogue, Interval passes, std::uint8_t* mask);
  void (*masked)(const float* dy, const std::uint8_t* mask, float* dx, std::int64_t count);
  AffineSums (*add_backward)(const float* a, const float* b, const float* dy, float* dx,
                             std::int64_t count, const Epilogue& epilogue, Interval passes);
};
RUNG_DECLARE_KERNELS(EpilogueKernels, epilogue);

/// Returns how many bytes the mask of `count` numbers has.
inline std::int64_t mask_bytes(std::int64_t count) { return (count + 7) / 8; }

/// y = epilogue(v); y may be v. Writes the mask unless it is nullptr.
void finish(const float* v, float* y, std::int64_t count, const Epilogue& epilogue,
            std::uint8_t* mask);
/// y = epilogue(a + b); the same.
void add(const float* a, const float* b, float* y, std::int64_t count, const Epilogue& epilogue,
         std::uint8_t* mask);
/// dx = dy where the mask is set, else 0.
void masked(const float* dy, const std::uint8_t* mask, float* dx, std::int64_t count);
/// The gradient of y = epilogue(a + b) with learned scale and offset: writes dx, returns theirs.
AffineSums add_backward(const float* a, const float* b, const float* dy, float* dx,
                        std::int64_t count, const Epilogue& epilogue);

}  // namespace rung::kernels
