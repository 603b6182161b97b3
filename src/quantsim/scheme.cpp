#include "rung/quantsim/scheme.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "core/check.h"
#include "rung/quant/registry.h"

namespace rung {
namespace {

struct SchemeName {
  std::string_view name, brief;
  const QuantScheme* scheme;
};

constexpr std::array<SchemeName, 10> kNames = {{
    {"post_training_tf", "tf", &QuantScheme::post_training_tf},
    {"post_training_tf_enhanced", "tf_enhanced", &QuantScheme::post_training_tf_enhanced},
    {"post_training_sqnr", "sqnr", &QuantScheme::post_training_sqnr},
    {"post_training_percentile", "percentile", &QuantScheme::post_training_percentile},
    {"training_range_learning_with_tf_init", "range_learning_tf",
     &QuantScheme::training_range_learning_with_tf_init},
    {"training_range_learning_with_tf_enhanced_init", "range_learning_tf_enhanced",
     &QuantScheme::training_range_learning_with_tf_enhanced_init},
    {"training_range_learning_with_sqnr_init", "range_learning_sqnr",
     &QuantScheme::training_range_learning_with_sqnr_init},
    {"training_lsq_with_tf_init", "lsq_tf", &QuantScheme::training_lsq_with_tf_init},
    {"training_lsq_with_tf_enhanced_init", "lsq_tf_enhanced",
     &QuantScheme::training_lsq_with_tf_enhanced_init},
    {"training_lsq_with_sqnr_init", "lsq_sqnr", &QuantScheme::training_lsq_with_sqnr_init},
}};
constexpr std::string_view kMinMax = "min_max";  // version 2.42's name of post_training_tf
constexpr std::string_view kTfEnhanced = "tf_enhanced";

constexpr std::string_view kLearned = "learned", kFixed = "fixed";

/// Returns the row of a scheme that has a name.
const SchemeName* name_of(const QuantScheme& scheme) {
  const auto* found =
      std::ranges::find_if(kNames, [&](const SchemeName& row) { return *row.scheme == scheme; });
  return found == kNames.end() ? nullptr : found;
}

std::string three_names(const QuantScheme& scheme) {
  return fmt::format("{}:{}:{}", scheme.estimator, scheme.quantizer,
                     scheme.learn ? kLearned : kFixed);
}

/// True if the quantizer has the bits that it is given: a float has its own.
bool takes_bits(const std::string& kind) {
  constexpr int kAny = 5;
  return make_quantizer(kind, {.bitwidth = kAny})->bitwidth() == kAny;
}

/// Takes "ESTIMATOR:QUANTIZER:learned" apart; none if it is nothing like that.
std::optional<QuantScheme> from_three_names(std::string_view name) {
  const std::size_t first = name.find(':'), second = name.rfind(':');
  if (first == name.npos || first == second) return std::nullopt;
  const std::string_view learn = name.substr(second + 1);
  if (learn != kLearned && learn != kFixed) return std::nullopt;
  QuantScheme scheme{.estimator = std::string(name.substr(0, first)),
                     .quantizer = std::string(name.substr(first + 1, second - first - 1)),
                     .learn = learn == kLearned};
  check_quant_scheme(scheme);
  return scheme;
}

}  // namespace

void check_quant_scheme(const QuantScheme& scheme) {
  (void)make_range_estimator(scheme.estimator);
  require(takes_bits(scheme.quantizer),
          "a quantizer of kind \"{}\" has bits of its own: replace_quantizer() takes one",
          scheme.quantizer);
}

std::vector<std::string> scheme_quantizers() {
  std::vector<std::string> kinds = quantizer_kinds();
  std::erase_if(kinds, [](const std::string& kind) {
    try {
      return !takes_bits(kind);
    } catch (const Error&) {
      return true;  // it wants more than plain options
    }
  });
  return kinds;
}

std::string to_string(const QuantScheme& scheme) {
  const SchemeName* name = name_of(scheme);
  return name == nullptr ? three_names(scheme) : std::string(name->name);
}

std::string short_name(const QuantScheme& scheme) {
  const SchemeName* name = name_of(scheme);
  return name == nullptr ? three_names(scheme) : std::string(name->brief);
}

QuantScheme parse_quant_scheme(std::string_view name) { return aimet_scheme(name, kTfEnhanced); }

QuantScheme aimet_scheme(std::string_view name, std::string_view tf_enhanced) {
  if (name == kMinMax) return QuantScheme::post_training_tf;
  for (const SchemeName& row : kNames) {
    if (name != row.name && name != row.brief) continue;
    QuantScheme scheme = *row.scheme;
    if (scheme.estimator == kTfEnhanced) scheme.estimator = tf_enhanced;
    return scheme;
  }
  if (std::optional<QuantScheme> scheme = from_three_names(name)) return *std::move(scheme);
  std::vector<std::string_view> known;
  for (const SchemeName& row : kNames) known.push_back(row.brief);
  fail("unknown quantization scheme '{}'; there are {} (or AIMET's long names)", name,
       fmt::join(known, ", "));
}

std::string aimet_name(const QuantScheme& scheme, std::string_view tf_enhanced) {
  QuantScheme named = scheme;
  if (named.estimator == tf_enhanced) named.estimator = kTfEnhanced;
  return to_string(named);
}

}  // namespace rung
