#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <span>

#include "rung/core/export.h"

namespace rung {

class Op;

/// What a kernel can do to its numbers in the pass that writes them, instead of the op behind its
/// own: clip them (Relu, Clip), add another tensor, or quantize them with one scale.
struct Tail {
  enum class Kind { clip, addition, quantizer };
  Kind kind = Kind::clip;
  float low = -std::numeric_limits<float>::infinity();  ///< clip; low <= 0 <= high, and the
  float high = std::numeric_limits<float>::infinity();  ///< gradient at either end is 0
  const Op* quantizer = nullptr;
  bool learns = false;  ///< the quantizer's parameters want gradients
  /// Where among the kernel's inputs this tail's begin: the other tensor, the quantizer's
  /// parameters, or none.
  std::size_t first_input = 0;
};

/// The tails of one kernel by what they do, nullptr where there is none. In this order:
///
///   [[quantizer] addition] [clip] [quantizer]
struct Tails {
  const Tail* quantizer_before_addition = nullptr;
  const Tail* addition = nullptr;
  const Tail* clip = nullptr;
  const Tail* quantizer = nullptr;

  /// Returns nothing if they stand in another order.
  RUNG_API static std::optional<Tails> of(std::span<const Tail> tails);
};

}  // namespace rung
