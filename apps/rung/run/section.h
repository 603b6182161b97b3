#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "rung/io/model_file.h"

namespace rung::cli {

/// An object of JSON that the command line has added to a model file. It comes from a file: types
/// and limits are checked before anything is used. Everything throws Error that begins with the
/// path, names the section and what is wrong in it, and ends with `remedy`.
class Section {
 public:
  /// The section must be there.
  Section(const io::ModelFile& file, const std::string& name, const std::string& path,
          const std::string& remedy);

  bool has(const char* key) const;
  std::string text(const char* key) const;
  std::vector<std::string> texts(const char* key) const;
  bool flag(const char* key) const;
  double number(const char* key) const;
  /// Returns a whole number in [min, max].
  std::int64_t integer(const char* key, std::int64_t min, std::int64_t max) const;
  /// Returns numbers that float32 holds without overflow.
  std::vector<float> floats(const char* key) const;
  /// Returns an object of texts.
  std::map<std::string, std::string> table(const char* key) const;

  [[noreturn]] void refuse(const std::string& what) const;

 private:
  const nlohmann::json& at(const char* key) const;

  std::string begin_, remedy_;
  std::shared_ptr<const nlohmann::json> json_;
};

}  // namespace rung::cli
