#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "rung/analysis/analysis.h"

namespace rung::cli {

/// What a report shows of one model.
struct ReportedModel {
  std::string name = {};                                        ///< the file
  std::string title, subtitle = {};                             ///< of the report
  std::vector<std::pair<std::string, std::string>> about = {};  ///< how it was quantized: what, how
  /// Options of `rung quantize` that it was quantized with, each with its value; empty: unknown.
  std::vector<std::pair<std::string, std::string>> quantize_options = {};
  std::string analyze_command = {};  ///< that gives the same report; empty: unknown
  analysis::Analysis analysis = {};
};

/// Returns one page of HTML that needs nothing else: one model, or two of them side by side.
std::string report_page(const std::vector<ReportedModel>& models);

/// Returns a word as a shell takes it: in quotes where it needs them.
std::string shell_word(const std::string& word);

}  // namespace rung::cli
