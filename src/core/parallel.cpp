#include "rung/core/parallel.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace rung {

#ifdef _OPENMP
int thread_count() { return omp_get_max_threads(); }

void set_thread_count(int threads) {
  omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
}
#else  // the fuzz targets
int thread_count() { return 1; }

void set_thread_count(int) {}
#endif

}  // namespace rung
