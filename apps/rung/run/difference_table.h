#pragma once

#include <cstdint>
#include <string>

#include "console/report.h"
#include "rung/analysis/tensor_diff.h"

namespace rung::cli {

/// Returns how tensors were matched, and a row for each that differs, in network order, at most
/// `rows` of them (0: all).
std::string difference_table(const analysis::TensorDiffResult& result, std::int64_t rows);

/// Sets the figures of all tensors.
void report_differences(const analysis::TensorDiffResult& result, Report& report);

}  // namespace rung::cli
