#pragma once

#include <cstdint>

#include "kernels/dispatch.h"
#include "kernels/quantize.h"

namespace rung::kernels {

/// What becomes of a number in the pass that writes it: it is clipped, then quantized.
struct Epilogue {
  float low = -__builtin_inff(), high = __builtin_inff();  ///< low <= 0 <= high
  bool quantizes = false;
  AffineParams affine = {};  ///< if it quantizes
  bool clips() const { return low > -__builtin_inff() || high < __builtin_inff(); }
};

/// Returns the numbers, before the epilogue, whose gradient passes it: not that of either bound.
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
