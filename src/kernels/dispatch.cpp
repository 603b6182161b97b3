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

const ReluKernels& relu_kernels() { return select(baseline::relu, avx2::relu, avx512::relu); }
const BatchNormKernels& batch_norm_kernels() {
  return select(baseline::batch_norm, avx2::batch_norm, avx512::batch_norm);
}
const EpilogueKernels& epilogue_kernels() {
  return select(baseline::epilogue, avx2::epilogue, avx512::epilogue);
}
const ElementwiseKernels& elementwise_kernels() {
  return select(baseline::elementwise, avx2::elementwise, avx512::elementwise);
}
const HistogramKernels& histogram_kernels() {
  return select(baseline::histogram, avx2::histogram, avx512::histogram);
}
const MultiplyKernels& multiply_kernels() {
  return select(baseline::multiply, avx2::multiply, avx512::multiply);
}
const PoolKernels& pool_kernels() { return select(baseline::pool, avx2::pool, avx512::pool); }
const QuantizeKernels& quantize_kernels() {
  return select(baseline::quantize, avx2::quantize, avx512::quantize);
}
const ReorderKernels& reorder_kernels() {
  return select(baseline::reorder, avx2::reorder, avx512::reorder);
}
const WinogradKernels& winograd_table_kernels() {
  return select(baseline::winograd_table, avx2::winograd_table, avx512::winograd_table);
}

}  // namespace rung::kernels
