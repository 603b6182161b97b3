#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "rung/core/export.h"

namespace rung {

/// How convolutions compute. `direct`: oneDNN's direct ones. `winograd`: F(4x4, 3x3) wherever it is
/// possible (3 x 3, stride 1), with errors of about 1e-5 relative to the largest element, four
/// times fewer multiplications. `automatic`: the faster one by fixed rules; direct in evaluation if
/// there are quantizers, whose codes are to equal those of integer hardware.
enum class ConvAlgorithm { automatic, direct, winograd };
RUNG_API std::string_view to_string(ConvAlgorithm algorithm);
/// Throws Error unless the name is auto, direct or winograd.
RUNG_API ConvAlgorithm parse_conv_algorithm(std::string_view name);

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

/// Which way the ops of a plan compute where they have several (KernelContext::tuning).
struct Tuning {
  ConvAlgorithm conv_algorithm = ConvAlgorithm::direct;
  ConvChoices* conv_choices = nullptr;  ///< if set, decides where the algorithm is automatic
};

}  // namespace rung
