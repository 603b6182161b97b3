#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "rung/core/export.h"
#include "rung/graph/op.h"

namespace rung {

/// The algorithms of convolutions as they were measured on this machine, one for each pass and
/// size. Executors that share it (ExecutorOptions::conv_choices) measure what is missing when they
/// compile a plan; what was stored is used as it is, so that a run that goes on gives the same
/// bits.
class RUNG_API ConvChoices {
 public:
  /// `measure` false: what is missing follows the fixed rules.
  explicit ConvChoices(bool measure = true) : measure_(measure) {}
  bool measures() const { return measure_; }
  std::optional<ConvAlgorithm> find(std::string_view key) const;
  /// `algorithm` is direct or winograd; throws Error otherwise.
  void set(std::string_view key, ConvAlgorithm algorithm);
  /// Returns everything, by pass and size: "forward 16x64x56x56 to 64, padding 1, 16c".
  const std::map<std::string, ConvAlgorithm, std::less<>>& all() const { return all_; }

 private:
  bool measure_;
  std::map<std::string, ConvAlgorithm, std::less<>> all_;
};

}  // namespace rung
