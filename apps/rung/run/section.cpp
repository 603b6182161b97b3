#include "run/section.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "rung/core/error.h"

namespace rung::cli {

Section::Section(const io::ModelFile& file, const std::string& name, const std::string& path,
                 const std::string& remedy)
    : begin_(fmt::format("{}: section {}: ", path, name)), remedy_(remedy) {
  json_ = std::make_shared<const nlohmann::json>(
      nlohmann::json::parse(file.sections.at(name), nullptr, /*allow_exceptions=*/false));
  if (!json_->is_object()) refuse("is no object of JSON");
}

void Section::refuse(const std::string& what) const { throw Error(begin_ + what + "; " + remedy_); }

bool Section::has(const char* key) const { return json_->contains(key); }

const nlohmann::json& Section::at(const char* key) const {
  const auto found = json_->find(key);
  if (found == json_->end()) refuse(fmt::format("has no {}", key));
  return *found;
}

std::string Section::text(const char* key) const {
  const nlohmann::json& json = at(key);
  if (!json.is_string()) refuse(fmt::format("{} must be a text, got {}", key, json.type_name()));
  return json.get<std::string>();
}

std::vector<std::string> Section::texts(const char* key) const {
  std::vector<std::string> texts;
  const nlohmann::json& list = at(key);
  if (!list.is_array()) refuse(fmt::format("{} must be a list, got {}", key, list.type_name()));
  for (const nlohmann::json& json : list) {
    if (!json.is_string())
      refuse(
          fmt::format("{} must be texts, element {} is {}", key, texts.size(), json.type_name()));
    texts.push_back(json.get<std::string>());
  }
  return texts;
}

bool Section::flag(const char* key) const {
  const nlohmann::json& json = at(key);
  if (!json.is_boolean())
    refuse(fmt::format("{} must be true or false, got {}", key, json.type_name()));
  return json.get<bool>();
}

double Section::number(const char* key) const {
  const nlohmann::json& json = at(key);
  if (!json.is_number()) refuse(fmt::format("{} must be a number, got {}", key, json.type_name()));
  return json.get<double>();
}

std::int64_t Section::integer(const char* key, std::int64_t min, std::int64_t max) const {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  const nlohmann::json& json = at(key);
  const bool fits = json.is_number_integer() &&
                    (!json.is_number_unsigned() || json.get<std::uint64_t>() <= kMost);
  if (const std::int64_t number = fits ? json.get<std::int64_t>() : 0;
      fits && min <= number && number <= max)
    return number;
  refuse(fmt::format("{} must be a whole number from {} to {}", key, min, max));
}

std::vector<float> Section::floats(const char* key) const {
  std::vector<float> numbers;
  const nlohmann::json& list = at(key);
  if (!list.is_array()) refuse(fmt::format("{} must be a list, got {}", key, list.type_name()));
  for (const nlohmann::json& json : list) {
    if (!json.is_number())
      refuse(fmt::format("{} must be numbers, element {} is {}", key, numbers.size(),
                         json.type_name()));
    const auto number = json.get<double>();
    if (std::abs(number) > std::numeric_limits<float>::max())
      refuse(fmt::format("{} has {}, which float32 does not hold", key, number));
    numbers.push_back(static_cast<float>(number));
  }
  return numbers;
}

std::map<std::string, std::string> Section::table(const char* key) const {
  std::map<std::string, std::string> table;
  const nlohmann::json& object = at(key);
  if (!object.is_object())
    refuse(fmt::format("{} must be an object, got {}", key, object.type_name()));
  for (const auto& [name, json] : object.items()) {
    if (!json.is_string())
      refuse(fmt::format("{} must be texts, {} is {}", key, name, json.type_name()));
    table.emplace(name, json.get<std::string>());
  }
  return table;
}

}  // namespace rung::cli
