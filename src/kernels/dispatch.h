#pragma once

#include <string_view>

// Every source in src/kernels but dispatch, drivers and passes is compiled once per instruction
// set, with RUNG_ISA = baseline, avx2 or avx512 as the name of its namespace, and exports one table
// of function pointers. Such a source works on plain pointers and uses no inline function of any
// library: the linker keeps only one copy of those, and it might be the one for a newer machine.

namespace rung::kernels {

/// The instruction sets that kernels exist for, in rising order; the baseline is what the compiler
/// makes of plain loops for any processor of the family.
enum class Isa { baseline, avx2, avx512 };

/// Returns the best one of this machine, or less if the environment says
/// RUNG_MAX_ISA=baseline|avx2.
Isa isa();
std::string_view isa_name();

/// The tables of one kernel that this machine can run, in rising order of instruction sets.
template <typename Table>
struct KernelSets {
  const Table* tables[3];
  int count;

  const Table* const* begin() const { return tables; }
  const Table* const* end() const { return tables + count; }
};

/// Declares a kernel's table for each instruction set, of which only an x86-64 processor has more
/// than the baseline, and what dispatch.cpp defines: x_kernels(), the table of this machine, and
/// x_sets(), all that it can run, for tests.
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
  const Table& name##_kernels();          \
  KernelSets<Table> name##_sets()

}  // namespace rung::kernels
