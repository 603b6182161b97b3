#include "rung/ops/conv_choices.h"

#include "core/check.h"

namespace rung {

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
