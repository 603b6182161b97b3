#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "rung/core/attributes.h"

/// Writes down what it is shown, or writes back what was written down.
class Notes final : public rung::AttributeVisitor {
 public:
  using Value =
      std::variant<std::int64_t, double, float, bool, std::string, std::vector<std::int64_t>>;
  bool writing = false;
  std::map<std::string, Value, std::less<>> values;
  void operator()(std::string_view n, std::int64_t& v) override { note(n, v); }
  void operator()(std::string_view n, double& v) override { note(n, v); }
  void operator()(std::string_view n, float& v) override { note(n, v); }
  void operator()(std::string_view n, bool& v) override { note(n, v); }
  void operator()(std::string_view n, std::string& v) override { note(n, v); }
  void operator()(std::string_view n, std::vector<std::int64_t>& v) override { note(n, v); }

 private:
  template <typename T>
  void note(std::string_view name, T& value) {
    if (writing)
      value = std::get<T>(values.at(std::string(name)));
    else
      values[std::string(name)] = value;
  }
};
