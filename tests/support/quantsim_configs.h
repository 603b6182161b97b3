#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "rung/quantsim/quantsim.h"
#include "support/temporary_folder.h"

// Configurations for tests of placement.

/// Returns the AIMET names of a sim's quantizers, sorted.
inline std::vector<std::string> placed(rung::QuantizationSimModel& sim) {
  std::vector<std::string> names;
  for (const rung::QuantizerHandle& each : sim.quantizers()) names.push_back(aimet_name(each));
  std::ranges::sort(names);
  return names;
}

inline rung::QuantizationSimModel make_sim(const rung::Graph& graph, const std::string& config,
                                           rung::QuantSimOptions options = {}) {
  const TemporaryFolder folder;
  options.config_file = folder.write("config.json", config);
  return rung::QuantizationSimModel(graph, options);
}

/// The same of what a configuration places into a graph.
inline std::vector<std::string> placed(const rung::Graph& graph, const std::string& config) {
  rung::QuantizationSimModel sim = make_sim(graph, config);
  sim.graph().check();
  return placed(sim);
}

/// Returns a configuration with these sections, "params" being empty.
inline std::string config(const std::string& ops, const std::string& params,
                          const std::string& op_type,
                          const std::string& rest = R"("supergroups": [], "model_input": {},
                                                       "model_output": {})") {
  return R"({"defaults": {"ops": )" + ops + R"(, "params": )" + params +
         R"(}, "params": {}, "op_type": )" + op_type + ", " + rest + "}";
}
