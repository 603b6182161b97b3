#pragma once

#include <cstdint>

#include "rung/core/export.h"

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

/// A body of a parallel loop, without its type: the threads are started in the library, so that a
/// program is compiled without OpenMP. It is called once per chunk, not per element.
class LoopBody {
 public:
  template <typename Body>
  explicit LoopBody(const Body& body)
      : body_(&body), call_([](const void* object, std::int64_t first, std::int64_t second) {
          (*static_cast<const Body*>(object))(first, second);
        }) {}
  void operator()(std::int64_t first, std::int64_t second) const { call_(body_, first, second); }

 private:
  const void* body_;
  void (*call_)(const void*, std::int64_t, std::int64_t);
};

RUNG_API void parallel_for(std::int64_t count, std::int64_t grain, LoopBody body);
RUNG_API void parallel_items(std::int64_t count, std::int64_t workers, LoopBody body);

}  // namespace detail

/// Calls body(begin, end) for consecutive chunks of `grain` elements of [0, count). How the range
/// is cut never depends on the number of threads, so a body that stores one partial result per
/// chunk (index begin / grain) gives the same bits with any number. Of the exceptions that bodies
/// throw, the caller gets one; other chunks may have run or not.
template <typename Body>
void parallel_for(std::int64_t count, std::int64_t grain, const Body& body) {
  detail::parallel_for(count, grain, detail::LoopBody(body));
}

/// Calls body(item, worker) for every item of [0, count); no two calls at a time have the same
/// worker, of [0, workers): for bodies that need memory to work in. Exceptions as parallel_for.
template <typename Body>
void parallel_items(std::int64_t count, std::int64_t workers, const Body& body) {
  detail::parallel_items(count, workers, detail::LoopBody(body));
}

}  // namespace rung
