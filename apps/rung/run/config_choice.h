#pragma once

#include <string>

#include "rung/quantsim/scheme.h"

namespace rung::cli {

/// What a command line says about where quantizers go, by whose rules, and how ranges are found.
struct ConfigOptions {
  std::string aimet = {};   ///< --aimet: 2.42 or 2024.10; empty: our own rules
  std::string config = {};  ///< --config: a built-in configuration or a file; empty: the default
  std::string scheme = {};  ///< --scheme, as parse_quant_scheme() takes it; empty: the default
};

/// The same for a QuantizationSimModel.
struct ConfigChoice {
  std::string file;    ///< QuantSimOptions::config_file
  std::string rules;   ///< QuantSimOptions::config_rules
  std::string scheme;  ///< the name of what follows
  QuantScheme quant_scheme;
};

/// Turns names into what they mean under that version of AIMET: its default configuration and
/// scheme, its default, per_channel and per_tensor, and the estimator that it calls tf_enhanced.
/// Throws UsageError, with what may be meant, for a configuration that is neither built in nor a
/// file, and does not look like the name of one, and for one of another version, or a file that
/// names another one's rules; Error for a file that cannot be read.
ConfigChoice choose_config(const ConfigOptions& options);

/// Returns the name of the built-in configuration that is the same but per channel; empty if there
/// is none.
std::string per_channel_of(const std::string& config);

/// Returns what is wrong with the name of a scheme, or nothing.
std::string check_scheme(const std::string& name);

}  // namespace rung::cli
