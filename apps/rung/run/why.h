#pragma once

#include "console/console.h"
#include "console/report.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {

/// Prints a line for every tensor of the float network: whether it has a quantizer, and which
/// setting decided that. Adds the same to the report as "placement".
void print_why(const QuantizationSimModel& sim, const Console& console, Report& report);

}  // namespace rung::cli
