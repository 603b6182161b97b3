#include "kernels/dispatch.h"

#include <cstdlib>
#include <string_view>

#include "kernels/batch_norm.h"
#include "kernels/elementwise.h"
#include "kernels/epilogue.h"
#include "kernels/histogram.h"
#include "kernels/multiply.h"
#include "kernels/pool.h"
#include "kernels/quantize.h"
#include "kernels/relu.h"
#include "kernels/reorder.h"
#include "kernels/winograd/kernels.h"

namespace rung::kernels {
namespace {

#ifdef __x86_64__
Isa detect() {
  Isa best = Isa::baseline;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Isa::avx2;
  if (best == Isa::avx2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    best = Isa::avx512;
  const char* limit = std::getenv("RUNG_MAX_ISA");
  if (limit == nullptr) return best;
  if (std::string_view(limit) == "baseline") return Isa::baseline;
  if (std::string_view(limit) == "avx2" && best == Isa::avx512) return Isa::avx2;
  return best;
}
#else
Isa detect() { return Isa::baseline; }
#endif

}  // namespace

Isa isa() {
  static const Isa found = detect();
  return found;
}

std::string_view isa_name() {
  switch (isa()) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    default:
      return "baseline";
  }
}

#ifdef __x86_64__
#define RUNG_TABLES(name) \
  { &baseline::name, &avx2::name, &avx512::name }
#else
#define RUNG_TABLES(name) \
  { &baseline::name }
#endif
#define RUNG_DEFINE_KERNELS(Table, name)                          \
  const Table& name##_kernels() {                                 \
    static constexpr const Table* kTables[3] = RUNG_TABLES(name); \
    return *kTables[static_cast<int>(isa())];                     \
  }                                                               \
  KernelSets<Table> name##_sets() { return {RUNG_TABLES(name), 1 + static_cast<int>(isa())}; }

RUNG_DEFINE_KERNELS(BatchNormKernels, batch_norm)
RUNG_DEFINE_KERNELS(ElementwiseKernels, elementwise)
RUNG_DEFINE_KERNELS(EpilogueKernels, epilogue)
RUNG_DEFINE_KERNELS(HistogramKernels, histogram)
RUNG_DEFINE_KERNELS(MultiplyKernels, multiply)
RUNG_DEFINE_KERNELS(PoolKernels, pool)
RUNG_DEFINE_KERNELS(QuantizeKernels, quantize)
RUNG_DEFINE_KERNELS(ReluKernels, relu)
RUNG_DEFINE_KERNELS(ReorderKernels, reorder)
RUNG_DEFINE_KERNELS(WinogradKernels, winograd_table)

}  // namespace rung::kernels
