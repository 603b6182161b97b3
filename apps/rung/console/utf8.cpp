#include "console/utf8.h"

#include <nlohmann/json.hpp>

namespace rung::cli {

std::string to_utf8(const std::string& text) {
  using Json = nlohmann::json;
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace))
      .get<std::string>();
}

bool is_utf8(const std::string& text) { return to_utf8(text) == text; }

}  // namespace rung::cli
