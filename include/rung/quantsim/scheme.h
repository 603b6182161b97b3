#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"

namespace rung {

/// How ranges are found, what quantizes with them, and whether training changes them: three choices
/// that do not depend on each other. Names are those of rung/quant/registry.h, your own included:
/// {.estimator = "three_sigma", .quantizer = "affine", .learn = true}.
struct RUNG_API QuantScheme {
  std::string estimator = "sqnr";    ///< finds ranges in calibration: RangeEstimator::name()
  std::string quantizer = "affine";  ///< Quantizer::kind()
  bool learn = false;                ///< the quantizers' parameters are trained

  // AIMET's names for some of them.
  static const QuantScheme post_training_tf;           ///< min-max, then fixed
  static const QuantScheme post_training_tf_enhanced;  ///< search with a histogram, then fixed
  static const QuantScheme post_training_percentile;   ///< cut off outliers, then fixed
  static const QuantScheme training_range_learning_with_tf_init;           ///< min-max, learned
  static const QuantScheme training_range_learning_with_tf_enhanced_init;  ///< search, learned
  static const QuantScheme training_lsq_with_tf_init;           ///< min-max, LSQ; not AIMET's
  static const QuantScheme training_lsq_with_tf_enhanced_init;  ///< search, LSQ; not AIMET's

  friend auto operator<=>(const QuantScheme&, const QuantScheme&) = default;
};

inline const QuantScheme QuantScheme::post_training_tf{.estimator = "min_max"};
inline const QuantScheme QuantScheme::post_training_tf_enhanced{};
inline const QuantScheme QuantScheme::post_training_percentile{.estimator = "percentile"};
inline const QuantScheme QuantScheme::training_range_learning_with_tf_init{.estimator = "min_max",
                                                                           .learn = true};
inline const QuantScheme QuantScheme::training_range_learning_with_tf_enhanced_init{.learn = true};
inline const QuantScheme QuantScheme::training_lsq_with_tf_init{
    .estimator = "min_max", .quantizer = "lsq", .learn = true};
inline const QuantScheme QuantScheme::training_lsq_with_tf_enhanced_init{.quantizer = "lsq",
                                                                         .learn = true};

/// Throws Error unless the estimator is known, and the quantizer is one of scheme_quantizers().
RUNG_API void check_quant_scheme(const QuantScheme& scheme);
/// Lists the kinds that a scheme can choose: those that have the bits that they are given, and need
/// nothing beside QuantizerOptions per tensor.
RUNG_API std::vector<std::string> scheme_quantizers();

/// Returns AIMET's name of a scheme that has one, else "ESTIMATOR:QUANTIZER:learned" or
/// "...:fixed": what files say.
RUNG_API std::string to_string(const QuantScheme& scheme);
/// Returns the short name of a scheme that has one ("tf_enhanced"), else to_string().
RUNG_API std::string short_name(const QuantScheme& scheme);
/// Returns the scheme of an AIMET name or a short one: tf, tf_enhanced, percentile,
/// range_learning_tf, range_learning_tf_enhanced, lsq_tf, lsq_tf_enhanced; or of three names as
/// to_string() puts them. Throws Error listing them otherwise, and for an estimator or quantizer
/// that is unknown.
RUNG_API QuantScheme parse_quant_scheme(std::string_view name);

}  // namespace rung
