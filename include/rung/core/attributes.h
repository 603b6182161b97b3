#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"

namespace rung {

/// Lists the attributes of something under their names in files: of an op its ONNX names. One
/// visit() serves printing, saving, loading and comparing: a visitor may read or write what it is
/// shown.
class RUNG_API AttributeVisitor {
 public:
  virtual ~AttributeVisitor() = default;
  virtual void operator()(std::string_view name, std::int64_t& value) = 0;
  virtual void operator()(std::string_view name, double& value) = 0;
  virtual void operator()(std::string_view name, float& value) = 0;
  virtual void operator()(std::string_view name, bool& value) = 0;
  virtual void operator()(std::string_view name, std::string& value) = 0;
  virtual void operator()(std::string_view name, std::vector<std::int64_t>& value) = 0;
};

}  // namespace rung
