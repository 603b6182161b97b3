#include "rung/core/parallel.h"

#ifdef _OPENMP
#include <omp.h>
#include <pthread.h>
#endif

#include <atomic>
#include <limits>
#include <vector>

#include "core/check.h"
#include "core/team.h"

namespace rung {

#ifdef _OPENMP

namespace {

// Counts the forks that led to this process. OpenMP keeps a pool of threads for each thread that
// starts regions; a new process has none of the pool's, and a region would wait for them.
std::atomic<unsigned> forks{1};
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
thread_local unsigned pool_made_after = 0;  // 0: this thread has no pool yet

bool pool_is_lost() { return pool_made_after != 0 && pool_made_after != forks; }

}  // namespace

int thread_count() {
  // oneDNN takes one thread inside a parallel region, whatever may be nested: so do we.
  if (omp_in_parallel() || omp_get_active_level() >= omp_get_max_active_levels()) return 1;
  return pool_is_lost() ? 1 : std::min(omp_get_max_threads(), omp_get_thread_limit());
}

void set_thread_count(int threads) {
  omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
}

int detail::begin_region() {
  const int threads = thread_count();
  if (threads > 1) pool_made_after = forks;
  return threads;
}

detail::Pieces::Taker::Taker(Pieces& pieces) : pieces_(pieces), thread_(omp_get_thread_num()) {}

Team::Team() : Team(std::numeric_limits<int>::max()) {}

Team::Team(int at_most)
    : threads_(std::min(at_most, detail::begin_region())),
      wanted_before_(omp_get_max_threads()),
      dynamic_before_(omp_get_dynamic()) {
  if (dynamic_before_) omp_set_dynamic(0);
  if (threads_ != wanted_before_) omp_set_num_threads(threads_);
}

Team::~Team() {
  if (dynamic_before_) omp_set_dynamic(1);
  if (threads_ != wanted_before_) omp_set_num_threads(wanted_before_);
}

void Team::check() const {
  std::vector<int> sizes(static_cast<std::size_t>(threads_), threads_ == 1 ? 1 : 0);
  if (threads_ > 1)
    parallel_for(threads_, 1, [&](std::int64_t begin, std::int64_t) {
      sizes[static_cast<std::size_t>(begin)] = omp_get_num_threads();
    });
  require(sizes[0] == threads_,
          "OpenMP starts {} threads where its settings promise {}: set the number of threads to {}",
          sizes[0], threads_, sizes[0]);
}

#else  // the fuzz targets

int thread_count() { return 1; }
void set_thread_count(int) {}
int detail::begin_region() { return 1; }

detail::Pieces::Taker::Taker(Pieces& pieces) : pieces_(pieces), thread_(0) {}

Team::Team() : Team(1) {}
Team::Team(int) : threads_(1), wanted_before_(1), dynamic_before_(false) {}
Team::~Team() = default;
void Team::check() const {}

#endif

detail::Pieces::Pieces(std::int64_t count, int threads) : used_(std::min(threads, kStretches)) {
  for (std::int64_t i = 0; i < used_; ++i) {
    stretches_[i].next.store(count * i / used_, std::memory_order_relaxed);
    stretches_[i].end = count * (i + 1) / used_;
  }
}

std::int64_t detail::Pieces::Taker::next() {
  for (; passed_ < pieces_.used_; ++passed_) {
    Stretch& stretch = pieces_.stretches_[(thread_ + passed_) % pieces_.used_];
    if (stretch.next.load(std::memory_order_relaxed) >= stretch.end) continue;
    const std::int64_t piece = stretch.next.fetch_add(1, std::memory_order_relaxed);
    if (piece < stretch.end) return piece;
  }
  return -1;
}

}  // namespace rung
