#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

#include "rung/core/error.h"

// What the fuzz targets share. Each target hands the bytes that libFuzzer invents to one reader: an
// Error is fine, a crash, a hang or a large allocation is a finding. tests/fuzz/run runs them.

namespace fuzz {

/// A file in memory whose contents are replaced for every run.
class File {
 public:
  explicit File(const std::string& name) {
    folder_ = std::filesystem::path("/dev/shm") / ("rung-fuzz-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    path_ = folder_ / name;
  }
  ~File() { std::filesystem::remove_all(folder_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  const std::filesystem::path& write(const std::uint8_t* data, std::size_t size) {
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    if (file == nullptr || std::fwrite(data, 1, size, file) != size || std::fclose(file) != 0)
      std::abort();
    return path_;
  }

 private:
  std::filesystem::path folder_, path_;
};

/// Runs a reader; what it refuses is no finding.
template <typename Read>
int refuse_or_read(const Read& read) {
  try {
    read();
  } catch (const rung::Error&) {
  }
  return 0;
}

}  // namespace fuzz
