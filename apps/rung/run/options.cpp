#include "run/options.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <latch>
#include <system_error>
#include <thread>
#include <vector>

#include "console/messages.h"
#include "rung/core/error.h"
#include "rung/core/parallel.h"
#include "rung/io/output_file.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

void check_writable(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    throw Error(fmt::format("cannot write {}: it is a folder", path));
  fs::path folder = fs::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!fs::is_directory(folder, ignored))
    throw Error(fmt::format("cannot write {}: there is no folder {}", path, folder.string()));
  io::check_can_write(path);
  io::remove_unfinished(path);
}

/// Starts the computing threads now, while the program can still say why it is not possible: OpenMP
/// would end it. Threads that were only tried leave their stacks behind for OpenMP's.
void start_threads() {
  const int threads = thread_count();
  std::latch all_tried(1);
  std::vector<std::jthread> tried;
  try {
    while (static_cast<int>(tried.size()) + 1 < threads)
      tried.emplace_back([&all_tried] { all_tried.wait(); });
  } catch (const std::system_error& error) {
    all_tried.count_down();
    throw Error(fmt::format("cannot start {} computing threads: {}: fewer, --threads, take less",
                            threads, error.code().message()));
  }
  all_tried.count_down();
  tried.clear();
  parallel_for(threads, 1, [](std::int64_t, std::int64_t) {});
}

}  // namespace

std::shared_ptr<ConvChoices> apply(const ConvOptions& options, const ConvChoices& stored,
                                   Executor& executor) {
  std::shared_ptr<ConvChoices> choices;
  if (options.autotune || !stored.all().empty()) {
    choices = std::make_shared<ConvChoices>(options.autotune);
    for (const auto& [key, algorithm] : stored.all()) choices->set(key, algorithm);
  }
  executor.set_conv_algorithm(parse_conv_algorithm(options.algorithm), choices);
  return choices;
}

void begin_run(const RunOptions& options, const std::vector<std::string>& outputs) {
  set_thread_count(options.threads);
  if (thread_count() < options.threads)
    warn(
        fmt::format("{} of {} computing threads: OpenMP's settings (OMP_THREAD_LIMIT, "
                    "OMP_MAX_ACTIVE_LEVELS) allow no more",
                    thread_count(), options.threads));
  start_threads();
  for (const std::string& path : outputs) check_writable(path);
  if (options.json.empty() || options.json == "-") return;
  std::error_code ignored;
  const fs::file_status status = fs::status(options.json, ignored);
  // Into a device or a pipe figures are written as they are.
  const bool is_device =
      fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
  if (!is_device) check_writable(options.json);
}

double percent(double share) { return std::round(share * 1e4) / 1e2; }

}  // namespace rung::cli
