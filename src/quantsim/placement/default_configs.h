#pragma once

#include <span>
#include <string_view>

namespace rung::quantsim {

/// A configuration that the library brings along.
struct BuiltInConfig {
  std::string_view name;  ///< what users write instead of a path
  std::string_view json;  ///< the text of its file in apps/configs
};

/// Returns the built-in configurations.
std::span<const BuiltInConfig> built_in_configs();

}  // namespace rung::quantsim
