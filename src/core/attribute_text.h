#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "rung/core/attributes.h"

namespace rung {

/// Collects "name=value" of every attribute: for printing and comparing.
class AttributeText final : public AttributeVisitor {
 public:
  void operator()(std::string_view name, std::int64_t& value) override { put(name, value); }
  void operator()(std::string_view name, double& value) override { put(name, value); }
  void operator()(std::string_view name, float& value) override { put(name, value); }
  void operator()(std::string_view name, bool& value) override { put(name, value); }
  void operator()(std::string_view name, std::string& value) override { put(name, value); }
  void operator()(std::string_view name, std::vector<std::int64_t>& value) override {
    put(name, fmt::format("[{}]", fmt::join(value, ", ")));
  }
  bool empty() const { return parts_.empty(); }
  std::string text() const { return fmt::format("{}", fmt::join(parts_, ", ")); }

 private:
  template <typename T>
  void put(std::string_view name, const T& value) {
    parts_.push_back(fmt::format("{}={}", name, value));
  }
  std::vector<std::string> parts_;
};

}  // namespace rung
