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

  // AIMET's names for some of them. Those with `sqnr` and `lsq` are ours.
  static const QuantScheme post_training_tf;           ///< min-max, then fixed
  static const QuantScheme post_training_tf_enhanced;  ///< version 2.42's search, then fixed
  static const QuantScheme post_training_sqnr;         ///< search in 2048 bins, then fixed
  static const QuantScheme post_training_percentile;   ///< cut off outliers, then fixed
  static const QuantScheme training_range_learning_with_tf_init;           ///< min-max, learned
  static const QuantScheme training_range_learning_with_tf_enhanced_init;  ///< search, learned
  static const QuantScheme training_range_learning_with_sqnr_init;         ///< search, learned
  static const QuantScheme training_lsq_with_tf_init;                      ///< min-max, LSQ
  static const QuantScheme training_lsq_with_tf_enhanced_init;             ///< search, LSQ
  static const QuantScheme training_lsq_with_sqnr_init;                    ///< search, LSQ

  friend auto operator<=>(const QuantScheme&, const QuantScheme&) = default;
};

inline const QuantScheme QuantScheme::post_training_tf{.estimator = "min_max"};
inline const QuantScheme QuantScheme::post_training_tf_enhanced{.estimator = "tf_enhanced"};
inline const QuantScheme QuantScheme::post_training_sqnr{};
inline const QuantScheme QuantScheme::post_training_percentile{.estimator = "percentile"};
inline const QuantScheme QuantScheme::training_range_learning_with_tf_init{.estimator = "min_max",
                                                                           .learn = true};
inline const QuantScheme QuantScheme::training_range_learning_with_tf_enhanced_init{
    .estimator = "tf_enhanced", .learn = true};
inline const QuantScheme QuantScheme::training_range_learning_with_sqnr_init{.learn = true};
inline const QuantScheme QuantScheme::training_lsq_with_tf_init{
    .estimator = "min_max", .quantizer = "lsq", .learn = true};
inline const QuantScheme QuantScheme::training_lsq_with_tf_enhanced_init{
    .estimator = "tf_enhanced", .quantizer = "lsq", .learn = true};
inline const QuantScheme QuantScheme::training_lsq_with_sqnr_init{.quantizer = "lsq",
                                                                  .learn = true};

/// Throws Error unless the estimator is known, and the quantizer is one of scheme_quantizers().
RUNG_API void check_quant_scheme(const QuantScheme& scheme);
/// Lists the kinds that a scheme can choose: those that have the bits that they are given, and need
/// nothing beside QuantizerOptions per tensor.
RUNG_API std::vector<std::string> scheme_quantizers();

/// Returns the name of a scheme that has one ("post_training_tf"), else
/// "ESTIMATOR:QUANTIZER:learned" or "...:fixed": what model files say.
RUNG_API std::string to_string(const QuantScheme& scheme);
/// Returns the short name of a scheme that has one ("tf"), else to_string().
RUNG_API std::string short_name(const QuantScheme& scheme);
/// Returns the scheme of a long name, a short one (tf, tf_enhanced, sqnr, percentile,
/// range_learning_tf, range_learning_tf_enhanced, range_learning_sqnr, lsq_tf, lsq_tf_enhanced,
/// lsq_sqnr), AIMET 2.42's min_max, or three names as to_string() puts them. Throws Error listing
/// them otherwise, and for an estimator or quantizer that is unknown.
RUNG_API QuantScheme parse_quant_scheme(std::string_view name);

// Which estimator AIMET calls tf_enhanced depends on its version: `tf_enhanced` is what
// ConfigRules::tf_enhanced says.

/// Returns the scheme that AIMET means by the name: as parse_quant_scheme(), but with this
/// estimator in its schemes of tf_enhanced. Three names are taken as they are.
RUNG_API QuantScheme aimet_scheme(std::string_view name, std::string_view tf_enhanced);
/// Returns the name by which AIMET means the scheme, for its encodings files: as to_string(), but
/// this estimator is called tf_enhanced.
RUNG_API std::string aimet_name(const QuantScheme& scheme, std::string_view tf_enhanced);

}  // namespace rung
