#pragma once

#include <string_view>

// Every source in src/kernels but dispatch, drivers and passes is compiled once per instruction
// set, with RUNG_ISA = baseline, avx2 or avx512 as the name of its namespace, and exports one table
// of function pointers. Such a source works on plain pointers and uses no inline function of any
// library: the linker keeps only one copy of those, and it might be the one for a newer machine.

namespace rung::kernels {

/// The instruction sets that kernels exist for, in rising order.
enum class Isa { baseline, avx2, avx512 };

/// Returns the best one of this machine, or less if the environment says
/// RUNG_MAX_ISA=baseline|avx2.
Isa isa();
std::string_view isa_name();

/// Picks the table of this machine.
template <typename Table>
const Table& select(const Table& baseline, const Table& avx2, const Table& avx512) {
  switch (isa()) {
    case Isa::avx512:
      return avx512;
    case Isa::avx2:
      return avx2;
    default:
      return baseline;
  }
}

/// Declares `Table x_kernels()`'s three variants; dispatch.cpp defines the function by select().
#define RUNG_DECLARE_KERNELS(Table, name) \
  namespace baseline {                    \
  extern const Table name;                \
  }                                       \
  namespace avx2 {                        \
  extern const Table name;                \
  }                                       \
  namespace avx512 {                      \
  extern const Table name;                \
  }                                       \
  const Table& name##_kernels()

}  // namespace rung::kernels
