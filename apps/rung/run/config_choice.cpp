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

/// Returns our name of a configuration, or the file.
std::string config_file(const ConfigOptions& options, const Version& version) {
  const std::vector<std::string_view> built_in = config_names();
  const std::string& config = options.config;
  if (config.empty() || config == "default") return std::string(version.config);
  if (config == "per_channel") return std::string(version.per_channel);
  if (config == "per_tensor") return std::string(version.per_tensor);
  if (std::ranges::find(built_in, config) != built_in.end()) {
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
      to_utf8(config), fmt::join(built_in, ", "),
      do_you_mean(config, {built_in.begin(), built_in.end()})));
}

/// Throws UsageError if the file goes by the rules of another version than --aimet says.
void check_rules(const ConfigOptions& options, const std::string& rule_set) {
  if (options.aimet.empty() || rule_set.empty() || rule_set == options.aimet) return;
  throw UsageError(fmt::format(
      "--aimet {} --config {}: the file names the rules {} ({}); leave out --aimet, or the file's "
      "key rung.rules",
      options.aimet, options.config, rule_set,
      rule_set == "rung" ? std::string("our own") : "those of AIMET " + rule_set));
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
  const QuantSimConfig config =
      parse_config(read_config(choice.file), choice.file, config_rules(choice.rules));
  check_rules(options, config.rule_set);
  choice.quant_scheme = aimet_scheme(choice.scheme, config.rules.tf_enhanced);
  return choice;
}

std::string per_channel_of(const std::string& config) {
  const auto* version = std::ranges::find(kVersions, config, &Version::per_tensor);
  return version == kVersions.end() ? std::string() : std::string(version->per_channel);
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
