#include "core/available_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace rung {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::infinity();

/// Returns the number behind a key at the beginning of a line.
double value_of(const char* path, std::string_view wanted, double otherwise) {
  std::ifstream file(path);
  for (std::string key; file >> key;) {
    double value = 0;
    if (key == wanted && file >> value) return value;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return otherwise;
}

// MemAvailable counts caches that the system would give up.
double system_available() {
  return value_of("/proc/meminfo", "MemAvailable:", kUnknown / 1024) * 1024;
}

double address_space_left() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnknown;
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  if (!(file >> pages)) return kUnknown;
  return static_cast<double>(limit.rlim_cur) - pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// The group that a container is, under version 2 of control groups.
double group_left() {
  std::ifstream most("/sys/fs/cgroup/memory.max"), now("/sys/fs/cgroup/memory.current");
  double limit = 0, used = 0;
  if (!(most >> limit && now >> used)) return kUnknown;  // "max" is no number
  return limit - used + value_of("/sys/fs/cgroup/memory.stat", "inactive_file", 0);  // a cache
}

}  // namespace

double available_memory() {
  return std::max(0.0, std::min({system_available(), address_space_left(), group_left()}));
}

}  // namespace rung
