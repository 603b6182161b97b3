#include "run/config_name.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "console/arguments.h"
#include "console/command.h"
#include "console/utf8.h"

namespace rung::cli {

void check_config_name(const std::string& config) {
  static const std::vector<std::string> kBuiltIn = {"default", "per_channel", "htp"};
  std::error_code ignored;
  if (std::ranges::find(kBuiltIn, config) != kBuiltIn.end() ||
      config.find_first_of("./") != std::string::npos || std::filesystem::exists(config, ignored))
    return;
  throw UsageError(fmt::format(
      "--config {}: there is no such file, and no configuration of that name; known are {}{}",
      to_utf8(config), fmt::join(kBuiltIn, ", "), do_you_mean(config, kBuiltIn)));
}

}  // namespace rung::cli
