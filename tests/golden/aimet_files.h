#pragma once

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "graph/layer.h"
#include "rung/io/encodings.h"
#include "rung/io/onnx_import.h"
#include "rung/quantsim/quantsim.h"
#include "support/temporary_folder.h"

// Encodings files of AIMET 2.42, loaded into a network of its ONNX file and written again.

namespace golden {

inline constexpr double kFileScale = 2e-6;  // AIMET's distance to itself, see its README

/// Returns what a file says of each tensor, whatever its version, as JSON.
inline std::map<std::string, nlohmann::json> entries_of(const nlohmann::json& file) {
  std::map<std::string, nlohmann::json> entries;
  for (const char* list : {"encodings", "activation_encodings", "param_encodings"}) {
    if (!file.contains(list)) continue;
    for (const auto& [key, entry] : file.at(list).items())
      entries[entry.is_array() ? key : entry.at("name").get<std::string>()] = entry;
  }
  return entries;
}

/// Returns the names that a file has.
inline std::set<std::string> names_of(const std::map<std::string, nlohmann::json>& entries) {
  std::set<std::string> names;
  for (const auto& [name, entry] : entries) names.insert(name);
  return names;
}

/// Checks that two parts of files say the same: scales and ranges to kFileScale, all else exactly.
inline void check_same(const nlohmann::json& got, const nlohmann::json& expected, Report& report) {
  if (expected.is_number_float()) {
    REQUIRE(got.is_number());
    const double number = expected.get<double>();
    CHECK(std::abs(got.get<double>() - number) <= kFileScale * std::abs(number));
    report.add();
    return;
  }
  if (!expected.is_structured()) {
    CHECK(got == expected);
    report.add();
    return;
  }
  REQUIRE(got.type() == expected.type());
  REQUIRE_MESSAGE(got.size() == expected.size(), got.dump() << " for " << expected.dump());
  for (const auto& [key, part] : expected.items()) {
    const bool is_list = expected.is_array();
    if (!is_list) REQUIRE_MESSAGE(got.contains(key), key);
    check_same(is_list ? got.at(std::stoul(key)) : got.at(key), part, report);
  }
}

/// Returns the biases whose int32 scale AIMET takes from the bias itself, max |b| / 2^31: those of
/// norms, of an Add behind a MatMul, and of layers whose input's scale it does not know, behind
/// MaxPool and Pad although there is one. An integer runtime needs scale_x * scale_w, which Rung
/// writes for layers, and nothing for others.
inline std::set<std::string> mistaken_biases(const rung::Graph& graph, const nlohmann::json& file) {
  std::set<std::string> names;
  const auto parsed = rung::io::parse_encodings(file.dump(), "AIMET's file");
  for (const auto* list : {&parsed.activations, &parsed.parameters})
    for (const rung::io::TensorEncoding& entry : *list) {
      const rung::Value* value = graph.find_value(entry.name);
      if (entry.bitwidth != 32 || value == nullptr || value->parameter() == nullptr) continue;
      if (std::ranges::none_of(value->uses(),
                               [](const rung::Use& use) { return rung::is_layer(*use.node); })) {
        names.insert(entry.name);
        continue;
      }
      double largest_scale = 0, largest = 0;
      for (const double scale : entry.scale) largest_scale = std::max(largest_scale, scale);
      for (const float b : value->parameter()->value().data())
        largest = std::max(largest, std::abs(double{b}));
      if (std::abs(largest_scale * 2147483648.0 - largest) <= 1e-4 * largest)
        names.insert(entry.name);
    }
  return names;
}

/// Returns the name of a file of AIMET 2.42's data.
inline std::string of_2_42(std::string_view file) { return std::string(kAimet242).append(file); }

/// Loads the network of an ONNX file of AIMET's.
inline rung::Graph onnx_network(std::string_view file) {
  return rung::io::load_onnx(path(of_2_42(file)));
}

/// Exports the encodings by tensor name.
inline nlohmann::json exported(rung::QuantizationSimModel& sim, rung::ExportOptions options) {
  const TemporaryFolder folder;
  options.export_model = false;
  std::ifstream file(sim.export_to(folder.path(), "net", options).at(0));
  return nlohmann::json::parse(file);
}

}  // namespace golden
