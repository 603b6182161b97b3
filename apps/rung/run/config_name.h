#pragma once

#include <string>

namespace rung::cli {

/// Throws UsageError, with what may be meant, for a configuration of quantizers (--config) that is
/// neither built in nor a file, and does not look like the name of one.
void check_config_name(const std::string& config);

}  // namespace rung::cli
