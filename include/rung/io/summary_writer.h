#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "rung/core/export.h"

namespace rung::io {

/// What a run has written so far: the names of its event files, and how many bytes they hold.
using EventFileSizes = std::map<std::string, std::uint64_t>;

/// Where a run goes on that was interrupted, and repeats what it did after that.
struct SummaryResume {
  std::int64_t next_step = 1;  ///< the first that is written
  EventFileSizes files = {};   ///< SummaryWriter::files() of that moment
};

struct SummaryWriterOptions {
  std::filesystem::path log_dir = {};  ///< is made if it is not there
  /// What was written after that moment is removed: event files are cut to the length that they
  /// had, and those that were not there are deleted. It is an Error if there are some, but none of
  /// the run's.
  std::optional<SummaryResume> resume = {};
};

/// Writes what TensorBoard shows, to a file events.out.tfevents.TIME.HOST.PID.N of its own.
/// PyTorch: torch.utils.tensorboard.SummaryWriter.
class RUNG_API SummaryWriter {
 public:
  /// Throws Error if the folder or the file cannot be made, or an old one not be read or replaced.
  explicit SummaryWriter(const SummaryWriterOptions& options);
  ~SummaryWriter();  ///< flushes, as well as it can
  SummaryWriter(const SummaryWriter&) = delete;
  SummaryWriter& operator=(const SummaryWriter&) = delete;

  /// Adds a number, which is kept as a float.
  void add_scalar(std::string_view tag, double value, std::int64_t step);
  /// Adds how often values lie in 64 equal bins from the smallest to the largest; those that are
  /// not finite are left out.
  void add_histogram(std::string_view tag, std::span<const float> values, std::int64_t step);
  /// Writes what was added so far; at the latest this happens after some seconds. Throws Error if
  /// it fails.
  void flush();
  /// Flushes, and returns the event files of the run, those before an interruption included.
  EventFileSizes files();

  const std::filesystem::path& path() const { return path_; }

 private:
  using Clock = std::chrono::steady_clock;
  void open(const std::filesystem::path& folder);
  void cut(const std::filesystem::path& folder, const EventFileSizes& files);
  void add(const std::string& event);

  std::filesystem::path path_;
  int descriptor_ = -1;
  EventFileSizes earlier_;  // of the run, without the one that is written
  std::uint64_t written_ = 0;
  std::string buffer_;
  Clock::time_point flushed_ = Clock::now();
};

/// Returns whether a folder has event files.
RUNG_API bool has_event_files(const std::filesystem::path& log_dir);

}  // namespace rung::io
