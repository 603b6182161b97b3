#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/quant/quantizer.h"
#include "rung/quant/range_estimator.h"

// Quantizers and range estimators by name: what model files bring back, and what a QuantScheme can
// choose. The library's own are known from the start; a program adds its own at its beginning.

namespace rung {

/// Makes a quantizer with these options, and the defaults of what its visit() lists beside them.
using MakeQuantizer = std::function<std::unique_ptr<Quantizer>(const QuantizerOptions&)>;
/// Makes a range estimator that has seen nothing, with the defaults of what its visit() lists.
using MakeRangeEstimator = std::function<std::unique_ptr<RangeEstimator>()>;

/// Makes a kind of quantizer of your own known under the name that its kind() returns. Throws Error
/// if the name is known already, or has other characters than letters, digits, "_", "-" and ".".
RUNG_API void register_quantizer(std::string_view kind, MakeQuantizer make);
/// The same for a range estimator, under the name that its name() returns.
RUNG_API void register_range_estimator(std::string_view name, MakeRangeEstimator make);

/// Lists the known names: the library's, then those that were registered.
RUNG_API std::vector<std::string> quantizer_kinds();
RUNG_API std::vector<std::string> range_estimator_names();

/// Makes a quantizer of this kind; throws Error listing the kinds if it is unknown, and for options
/// that it cannot have.
RUNG_API std::unique_ptr<Quantizer> make_quantizer(std::string_view kind,
                                                   const QuantizerOptions& options = {});
/// Makes the range estimator of this name; throws Error listing the names if it is unknown.
RUNG_API std::unique_ptr<RangeEstimator> make_range_estimator(std::string_view name);

}  // namespace rung
