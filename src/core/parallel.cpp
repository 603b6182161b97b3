// The only file with "#pragma omp".

#include "rung/core/parallel.h"

#ifdef _OPENMP
#include <omp.h>
#include <pthread.h>
#endif

#include <algorithm>
#include <atomic>
#include <exception>
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

// Returns thread_count() for a parallel region that starts now.
int begin_region() {
  const int threads = thread_count();
  if (threads > 1) pool_made_after = forks;
  return threads;
}

int thread_number() { return omp_get_thread_num(); }

}  // namespace

int thread_count() {
  // oneDNN takes one thread inside a parallel region, whatever may be nested: so do we.
  if (omp_in_parallel() || omp_get_active_level() >= omp_get_max_active_levels()) return 1;
  return pool_is_lost() ? 1 : std::min(omp_get_max_threads(), omp_get_thread_limit());
}

void set_thread_count(int threads) {
  omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
}

Team::Team() : Team(std::numeric_limits<int>::max()) {}

Team::Team(int at_most)
    : threads_(std::min(at_most, begin_region())),
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

void Team::on_each(const std::function<void()>& body) const {
  if (threads_ == 1) return body();  // a region would wait for the pool that a fork has lost
#pragma omp parallel num_threads(threads_)
  body();
}

#else  // the fuzz targets

namespace {

int begin_region() { return 1; }
int thread_number() { return 0; }

}  // namespace

int thread_count() { return 1; }
void set_thread_count(int) {}

Team::Team() : Team(1) {}
Team::Team(int) : threads_(1), wanted_before_(1), dynamic_before_(false) {}
Team::~Team() = default;
void Team::check() const {}
void Team::on_each(const std::function<void()>& body) const { body(); }

#endif

namespace {

// The pieces of work of a parallel region. Each thread takes those of a stretch of its own, so that
// it finds in its cache what it wrote there, and then those that late threads have left.
class Pieces {
 public:
  Pieces(std::int64_t count, int threads) : used_(std::min(threads, kStretches)) {
    for (std::int64_t i = 0; i < used_; ++i) {
      stretches_[i].next.store(count * i / used_, std::memory_order_relaxed);
      stretches_[i].end = count * (i + 1) / used_;
    }
  }

  // What one thread of the region takes pieces with.
  class Taker {
   public:
    Taker(Pieces& pieces, int thread) : pieces_(pieces), thread_(thread) {}

    // Returns a piece that nobody has taken, or -1.
    std::int64_t next() {
      for (; passed_ < pieces_.used_; ++passed_) {
        Stretch& stretch = pieces_.stretches_[(thread_ + passed_) % pieces_.used_];
        if (stretch.next.load(std::memory_order_relaxed) >= stretch.end) continue;
        const std::int64_t piece = stretch.next.fetch_add(1, std::memory_order_relaxed);
        if (piece < stretch.end) return piece;
      }
      return -1;
    }

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

// Calls run(piece, thread) for every piece of [0, count) on so many threads, or fewer if OpenMP
// starts fewer. An exception ends its thread's part, the others take what it leaves; an exception
// must not leave the region, so one of them waits in a slot.
template <typename Run>
void on_threads(std::int64_t count, int threads, const Run& run) {
  Pieces pieces(count, threads);
  std::atomic_flag caught;
  std::exception_ptr exception;
#pragma omp parallel num_threads(threads)
  {
    const int thread = thread_number();
    try {
      Pieces::Taker taker(pieces, thread);
      for (std::int64_t piece; (piece = taker.next()) >= 0;) run(piece, thread);
    } catch (...) {
      if (!caught.test_and_set()) exception = std::current_exception();
    }
  }
  if (exception) std::rethrow_exception(exception);
}

}  // namespace

void detail::parallel_for(std::int64_t count, std::int64_t grain, LoopBody body) {
  if (count <= 0) return;
  const std::int64_t step = std::max<std::int64_t>(grain, 1);
  const std::int64_t chunks = (count + step - 1) / step;
  if (chunks == 1) return body(0, count);
  const auto run = [&](std::int64_t chunk, int) {
    body(chunk * step, std::min(count, (chunk + 1) * step));
  };
  const auto threads = static_cast<int>(std::min<std::int64_t>(begin_region(), chunks));
  if (threads > 1) return on_threads(chunks, threads, run);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) run(chunk, 0);
}

void detail::parallel_items(std::int64_t count, std::int64_t workers, LoopBody body) {
  const auto threads = static_cast<int>(
      std::min({std::int64_t{begin_region()}, std::max<std::int64_t>(1, workers), count}));
  if (threads > 1) return on_threads(count, threads, body);
  for (std::int64_t item = 0; item < count; ++item) body(item, 0);
}

}  // namespace rung
