#pragma once

#include <string>

#include "console/command.h"
#include "console/console.h"
#include "console/report.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {

/// Ranges that a file brings, so that none are calibrated.
struct EncodingsOptions {
  std::string file = {};
  bool skip_unknown = false;

  template <typename V>
  void visit(V& v) {
    v.group("Quantization");
    v.option("--encodings FILE", file,
             "take the ranges from a file of encodings, AIMET's or of rung export, and calibrate "
             "nothing; quantizers without an entry are switched off");
    v.flag("--skip-unknown", skip_unknown,
           "skip entries of --encodings that belong to no quantizer, which are an error otherwise");
  }
};

/// Loads the file into a sim. Says what was loaded, switched off, skipped and matched by position,
/// and sets "encodings". Throws Error as load_encodings does, and if nothing is left to quantize.
void load_encodings(const EncodingsOptions& options, QuantizationSimModel& sim,
                    const Console& console, Report& report);

}  // namespace rung::cli
