#pragma once

#include <map>
#include <string>

#include "rung/quantsim/quantsim.h"

namespace rung::quantsim {

/// Returns the range that complete constraints give a quantizer. On a symmetric grid it covers
/// them, unless rules.symmetric_constraints: then it is as wide as they are, around zero.
Range fixed_range(const EncodingConstraints& constraints, const QuantizerHandle& quantizer,
                  const ConfigRules& rules);

/// The sides of ranges that encoding_constraints fix while calibration finds the other one.
class FixedSides {
 public:
  explicit FixedSides(const QuantizationSimModel& sim);

  /// Puts the given side back into a range that was just observed.
  void restore(QuantizerHandle quantizer) const;
  /// Keeps the given side out of training. On a symmetric grid both sides are one number.
  void keep_from_training(const QuantizerHandle& quantizer) const;

 private:
  std::map<std::string, EncodingConstraints> given_;  // by the quantizer's name
};

}  // namespace rung::quantsim
