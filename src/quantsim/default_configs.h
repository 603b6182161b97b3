#pragma once

#include <string_view>

namespace rung::quantsim {

extern const std::string_view kDefaultConfig;     ///< apps/configs/default_config.json
extern const std::string_view kPerChannelConfig;  ///< apps/configs/default_config_per_channel.json

}  // namespace rung::quantsim
