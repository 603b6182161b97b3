#include "rung/ops/tuning.h"

#include "core/check.h"

namespace rung {

std::string_view to_string(ConvAlgorithm algorithm) {
  switch (algorithm) {
    case ConvAlgorithm::direct:
      return "direct";
    case ConvAlgorithm::winograd:
      return "winograd";
    default:
      return "auto";
  }
}

ConvAlgorithm parse_conv_algorithm(std::string_view name) {
  for (const ConvAlgorithm algorithm :
       {ConvAlgorithm::automatic, ConvAlgorithm::direct, ConvAlgorithm::winograd})
    if (to_string(algorithm) == name) return algorithm;
  fail("the algorithm of convolutions must be auto, direct or winograd, got {}", name);
}

std::optional<ConvAlgorithm> ConvChoices::find(std::string_view key) const {
  const auto found = all_.find(key);
  return found == all_.end() ? std::nullopt : std::optional(found->second);
}

void ConvChoices::set(std::string_view key, ConvAlgorithm algorithm) {
  require(algorithm != ConvAlgorithm::automatic,
          "ConvChoices: the choice for {} must be direct or winograd, got auto", key);
  all_.insert_or_assign(std::string(key), algorithm);
}

}  // namespace rung
