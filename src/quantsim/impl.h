#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rung/quantsim/quantsim.h"

namespace rung {

struct QuantizationSimModel::Impl {
  static constexpr std::string_view kOwner = "QuantizationSimModel";

  Impl(QuantSimOptions options_, std::string config_text_, QuantSimConfig config_, Graph graph_)
      : options(std::move(options_)),
        config_text(std::move(config_text_)),
        config(std::move(config_)),
        graph(std::move(graph_)),
        executor(graph) {}

  QuantSimOptions options;
  std::string config_text;  // as read: a restored sim must not need the file
  QuantSimConfig config;
  bool is_imported = false;  // of from_quantized: no configuration has placed the quantizers
  std::vector<std::string> excluded_layers;  // sorted
  std::vector<std::string> calibration_notes;
  Graph graph;
  Executor executor;  // refers to graph
};

}  // namespace rung
