#pragma once

#include <algorithm>
#include <atomic>
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

/// The pieces of work of a parallel region. Each thread takes those of a stretch of its own, so
/// that it finds in its cache what it wrote there, and then those that late threads have left.
class RUNG_API Pieces {
 public:
  Pieces(std::int64_t count, int threads);

  /// What one thread of the region takes pieces with.
  class RUNG_API Taker {
   public:
    explicit Taker(Pieces& pieces);
    int thread() const { return thread_; }
    /// Returns a piece that nobody has taken, or -1.
    std::int64_t next();

   private:
    Pieces& pieces_;
    int thread_, passed_ = 0;
  };

 private:
  static constexpr int kStretches = 64;
  struct alignas(64) Stretch {  // a cache line: threads seldom meet
    std::atomic<std::int64_t> next;
    std::int64_t end;
  };
  int used_;
  Stretch stretches_[kStretches];
};

}  // namespace detail

/// Calls body(begin, end) for consecutive chunks of `grain` elements of [0, count). How the range
/// is cut never depends on the number of threads, so a body that stores one partial result per
/// chunk (index begin / grain) gives the same bits with any number. The body must not throw.
template <typename Body>
void parallel_for(std::int64_t count, std::int64_t grain, const Body& body) {
  if (count <= 0) return;
  const std::int64_t step = std::max<std::int64_t>(grain, 1);
  const std::int64_t chunks = (count + step - 1) / step;
  const auto run = [&](std::int64_t chunk) {
    body(chunk * step, std::min(count, (chunk + 1) * step));
  };
  if (chunks == 1) return run(0);
  const auto threads = static_cast<int>(std::min<std::int64_t>(detail::begin_region(), chunks));
  if (threads == 1) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) run(chunk);
    return;
  }
  detail::Pieces pieces(chunks, threads);
#pragma omp parallel num_threads(threads)
  {
    detail::Pieces::Taker taker(pieces);
    for (std::int64_t chunk; (chunk = taker.next()) >= 0;) run(chunk);
  }
}

/// Calls body(item, worker) for every item of [0, count); no two calls at a time have the same
/// worker, of [0, workers): for bodies that need memory to work in. The body must not throw.
template <typename Body>
void parallel_items(std::int64_t count, std::int64_t workers, const Body& body) {
  const auto threads = static_cast<int>(
      std::min({std::int64_t{detail::begin_region()}, std::max<std::int64_t>(1, workers), count}));
  if (threads <= 1) {
    for (std::int64_t item = 0; item < count; ++item) body(item, std::int64_t{0});
    return;
  }
  detail::Pieces pieces(count, threads);
#pragma omp parallel num_threads(threads)
  {
    detail::Pieces::Taker taker(pieces);
    for (std::int64_t item; (item = taker.next()) >= 0;) body(item, std::int64_t{taker.thread()});
  }
}

}  // namespace rung
