#pragma once

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "rung/quantsim/quantsim.h"
#include "support/temporary_folder.h"

/// Exports the sim's encodings and returns the text of the file by module or by tensor name.
inline std::string exported(rung::QuantizationSimModel& sim, const std::string& version,
                            bool by_module) {
  const TemporaryFolder folder;
  const auto files =
      sim.export_to(folder.path(), "net", {.encodings_version = version, .export_model = false});
  std::ifstream file(files.at(by_module ? 1 : 0), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Returns the entry of a tensor in a file of encodings of version 1.0.0 or 2.0.0; null if there is
/// none.
inline nlohmann::json entry_of(const nlohmann::json& file, const std::string& name) {
  for (const char* list : {"encodings", "activation_encodings", "param_encodings"})
    if (file.contains(list))
      for (const nlohmann::json& entry : file.at(list))
        if (entry.at("name") == name) return entry;
  return nullptr;
}
