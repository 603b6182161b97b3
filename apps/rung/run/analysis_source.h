#pragma once

#include <functional>
#include <string>

#include "console/console.h"
#include "run/analysis_report.h"
#include "run/analysis_table.h"
#include "run/data.h"
#include "run/options.h"

namespace rung::cli {

/// How models are analyzed.
struct AnalysisOptions {
  std::string metric = "sqnr";
  bool per_quantizer = false;
  /// Is called before the work.
  std::function<void(const Comparable&)> before = {};
};

/// Analyzes a quantized model on the images, behind a progress bar, or reads the --json of an
/// earlier analysis. Throws Error that begins with the path for files that are neither.
ReportedModel analyze_file(const std::string& path, const DataOptions& data, const RunOptions& run,
                           const AnalysisOptions& options, const Console& console);

}  // namespace rung::cli
