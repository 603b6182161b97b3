#pragma once

#include <algorithm>
#include <cstdint>

#include "rung/core/export.h"

// The only file with "#pragma omp".

namespace rung {

/// Returns the number of threads that compute together here and now: what set_thread_count or
/// OMP_NUM_THREADS says, at most OMP_THREAD_LIMIT; 1 inside a parallel region of the caller, where
/// OMP_MAX_ACTIVE_LEVELS allows no region, and after a fork in a thread that had started others
/// before: they are not in the new process.
RUNG_API int thread_count();
/// Sets the number of threads for the calling thread's parallel regions; 0 means one per processor.
/// For programs: the library itself never calls it. Executors compiled before keep working.
RUNG_API void set_thread_count(int threads);

namespace detail {
/// Returns thread_count() for a parallel region that starts now.
RUNG_API int begin_region();
}  // namespace detail

/// Calls body(begin, end) for consecutive chunks of `grain` elements of [0, count). How the range
/// is cut never depends on the number of threads, so a body that stores one partial result per
/// chunk (index begin / grain) gives the same bits with any number. The body must not throw.
template <typename Body>
void parallel_for(std::int64_t count, std::int64_t grain, const Body& body) {
  if (count <= 0) return;
  const std::int64_t step = std::max<std::int64_t>(grain, 1);
  const std::int64_t chunks = (count + step - 1) / step;
  if (chunks == 1) {
    body(std::int64_t{0}, count);
    return;
  }
  [[maybe_unused]] const int threads = detail::begin_region();
#pragma omp parallel for schedule(static) num_threads(threads)
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    body(chunk * step, std::min(count, (chunk + 1) * step));
}

}  // namespace rung
