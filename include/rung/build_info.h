#pragma once

#include <string>

#include "rung/core/export.h"

namespace rung {

/// What the library was built with and what it uses on this machine: for bug reports.
struct BuildInfo {
  std::string compiler;         ///< "GCC 12.2.0"
  std::string instruction_set;  ///< of our kernels: baseline, avx2 or avx512
  std::string onednn;           ///< its version
  std::string onednn_isa;       ///< the instructions that oneDNN uses, in its words
};

/// Returns it; the environment (RUNG_MAX_ISA, ONEDNN_MAX_CPU_ISA) is taken into account.
RUNG_API BuildInfo build_info();

}  // namespace rung
