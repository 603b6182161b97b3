#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/io/model_file.h"

// The JSON sections that the command line adds to model files. They come from files: types and
// limits are checked before anything is used.

namespace rung::cli {

/// Returns what `read` makes of a section. Whatever is wrong with it is an Error that begins with
/// the path and names the section; the section must be there.
template <typename Read>
auto read_section(const io::ModelFile& file, const std::string& name, const std::string& path,
                  const Read& read) {
  try {
    return read(nlohmann::json::parse(file.sections.at(name)));
  } catch (const std::exception& error) {
    throw Error(fmt::format("{}: section {}: {}", path, name, error.what()));
  }
}

/// Returns a whole number; throws Error if it is none or outside of [min, max].
std::int64_t integer(const nlohmann::json& object, const char* key, std::int64_t min,
                     std::int64_t max);
/// Returns numbers that float32 holds without overflow; throws Error otherwise.
std::vector<float> floats(const nlohmann::json& object, const char* key);

}  // namespace rung::cli
