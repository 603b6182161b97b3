#pragma once

#include <cstdint>

#include "console/console.h"
#include "console/report.h"

namespace rung::cli {

/// Times every op of rung/testing/op_cases.h alone, forward in training and backward to its inputs
/// and parameters, prints a line for each, and appends them to the report's "ops".
void time_ops(std::int64_t steps, const Console& console, Report& report);

}  // namespace rung::cli
