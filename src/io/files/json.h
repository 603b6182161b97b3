#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace rung::io {

using Json = nlohmann::json;

/// What a JSON text from outside may cost at most.
struct JsonLimits {
  std::size_t bytes = 100'000'000;
  std::size_t depth = 64;
  std::size_t values = 8'000'000;  ///< each takes 16 bytes and more
};

/// Parses JSON that nobody vouches for. Refuses what the library would silently accept: duplicate
/// keys (it keeps the last), integers beyond 64 bits (they become floats), endless nesting. Throws
/// Error that begins with `source`.
Json parse_json(std::string_view text, std::string_view source, JsonLimits limits = {});

/// Writes JSON with sorted keys in ASCII; throws Error if a string is not UTF-8 or a number is not
/// finite. `indent` -1 gives one line.
std::string dump_json(const Json& json, std::string_view source, int indent = -1);

/// A place inside a parsed file. Its getters throw Error with the file and the path of the place,
/// e.g. `net.encodings: param_encodings["conv1.weight"][0].scale must be a number, got a string`.
class JsonPlace {
 public:
  JsonPlace(const Json& json, std::string source) : JsonPlace(json, std::move(source), {}) {}

  const Json& json() const { return *json_; }
  [[noreturn]] void refuse(std::string_view what) const;

  /// Returns a member that must be there.
  JsonPlace operator[](std::string_view key) const;
  JsonPlace operator[](std::size_t index) const;
  bool has(std::string_view key) const;
  std::size_t size() const { return json_->size(); }

  const JsonPlace& object() const;
  const JsonPlace& array(std::size_t max_size = SIZE_MAX) const;
  const std::string& string(std::size_t max_size = SIZE_MAX) const;
  std::int64_t integer(std::int64_t min = INT64_MIN, std::int64_t max = INT64_MAX) const;
  double number() const;
  double float32() const;  ///< a number that float32 holds without overflow
  bool boolean() const;

 private:
  JsonPlace(const Json& json, std::string source, std::string path)
      : json_(&json), source_(std::move(source)), path_(std::move(path)) {}
  [[noreturn]] void expected(std::string_view what) const;

  const Json* json_;
  std::string source_, path_;
};

}  // namespace rung::io
