#include "run/section.h"

#include <cmath>
#include <limits>

namespace rung::cli {

std::int64_t integer(const nlohmann::json& object, const char* key, std::int64_t min,
                     std::int64_t max) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  const nlohmann::json& json = object.at(key);
  const bool fits = json.is_number_integer() &&
                    (!json.is_number_unsigned() || json.get<std::uint64_t>() <= kMost);
  if (const std::int64_t number = fits ? json.get<std::int64_t>() : 0;
      fits && min <= number && number <= max)
    return number;
  throw Error(fmt::format("{} must be a whole number from {} to {}", key, min, max));
}

std::vector<float> floats(const nlohmann::json& object, const char* key) {
  std::vector<float> numbers;
  for (const nlohmann::json& json : object.at(key)) {
    const auto number = json.get<double>();
    if (std::abs(number) > std::numeric_limits<float>::max())
      throw Error(fmt::format("{} has {}, which float32 does not hold", key, number));
    numbers.push_back(static_cast<float>(number));
  }
  return numbers;
}

}  // namespace rung::cli
