#include "run/config_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "console/arguments.h"
#include "console/command.h"
#include "console/utf8.h"
#include "rung/core/error.h"
#include "rung/quantsim/config.h"

namespace rung::cli {
namespace {

/// What a version of AIMET means by names.
struct Version {
  std::string_view name;  ///< of --aimet; empty: ours
  std::string_view rules;
  std::string_view config, scheme;           ///< when none is given
  std::string_view per_tensor, per_channel;  ///< our names of its configurations
  std::string_view beginning;                ///< of all of its configurations' names
};

constexpr std::array<Version, 3> kVersions = {{
    {"", "rung", "default", "sqnr", "per_tensor", "default", ""},
    {"2.42", "2.42", "aimet_2_42", "tf", "aimet_2_42_per_tensor", "aimet_2_42", "aimet_2_42"},
    {"2024.10", "2024.10", "aimet_2024", "tf_enhanced", "aimet_2024", "aimet_2024_per_channel",
     "aimet_2024"},
}};

const Version& version_of(const std::string& aimet) {
  return *std::ranges::find(kVersions, aimet, &Version::name);
}

bool is_known(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

/// Returns our name of a configuration, or the file.
std::string config_file(const ConfigOptions& options, const Version& version) {
  static const std::vector<std::string> kBuiltIn = {"default",
                                                    "per_channel",
                                                    "per_tensor",
                                                    "aimet_2_42",
                                                    "aimet_2_42_per_tensor",
                                                    "aimet_2024",
                                                    "aimet_2024_per_channel",
                                                    "htp"};
  const std::string& config = options.config;
  if (config.empty() || config == "default") return std::string(version.config);
  if (config == "per_channel") return std::string(version.per_channel);
  if (config == "per_tensor") return std::string(version.per_tensor);
  if (is_known(kBuiltIn, config)) {
    const bool is_of_2_42 = config == "htp" && version.name == "2.42";
    if (!config.starts_with(version.beginning) && !is_of_2_42)
      throw UsageError(fmt::format(
          "--aimet {} --config {}: that version has no such configuration; it has {} and {}",
          options.aimet, config, version.per_tensor, version.per_channel));
    return config;
  }
  std::error_code ignored;
  if (config.find_first_of("./") != std::string::npos || std::filesystem::exists(config, ignored))
    return config;
  throw UsageError(fmt::format(
      "--config {}: there is no such file, and no configuration of that name; known are {}{}",
      to_utf8(config), fmt::join(kBuiltIn, ", "), do_you_mean(config, kBuiltIn)));
}

}  // namespace

ConfigChoice choose_config(const ConfigOptions& options) {
  const Version& version = version_of(options.aimet);
  ConfigChoice choice{
      .file = config_file(options, version),
      .rules = std::string(version.rules),
      .scheme = options.scheme.empty() ? std::string(version.scheme) : options.scheme,
      .quant_scheme = {}};
  if (!is_utf8(choice.file))  // it is stored in the model file
    throw Error("--config " + to_utf8(choice.file) + ": the name must be UTF-8");
  const ConfigRules rules =
      parse_config(read_config(choice.file), choice.file, config_rules(choice.rules)).rules;
  choice.quant_scheme = aimet_scheme(choice.scheme, rules.tf_enhanced);
  return choice;
}

std::string check_scheme(const std::string& name) {
  try {
    if (!name.empty()) parse_quant_scheme(name);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace rung::cli
