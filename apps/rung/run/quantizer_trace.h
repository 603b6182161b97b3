#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {

/// Records what one quantizer does in training, step by step in numbers: its range, scale and
/// offset, what is clipped, the error by clipping and by rounding, a histogram of what it
/// quantizes, and the gradients of its parameters.
class QuantizerTrace {
 public:
  /// `name` as QuantizationSimModel::quantizer() takes it. Makes the sim's executor keep what is
  /// quantized. Throws Error for a quantizer without codes, without a range, disabled, or of
  /// blocks.
  QuantizerTrace(QuantizationSimModel& sim, std::string_view name);

  /// Records a step: when all gradients are there, before the parameters move.
  void record(double loss);

  std::size_t steps() const { return steps_.size(); }
  QuantizerHandle quantizer() const { return quantizer_; }
  /// Returns one object of JSON with a line for each step; `notes` is what else it says, a list of
  /// members, "" or ending in a comma.
  std::string json(std::string_view notes) const;

 private:
  QuantizationSimModel& sim_;
  QuantizerHandle quantizer_;
  std::vector<std::string> steps_;
};

}  // namespace rung::cli
