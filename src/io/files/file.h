#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "rung/io/text_file.h"

namespace rung::io {

/// A regular file opened for reading at chosen positions. Refuses folders, pipes and devices, so
/// that a hostile path can neither block nor never end.
class InputFile {
 public:
  /// Throws Error with the path and the system's reason if it cannot be opened.
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// Fills `destination` from byte `position` on; throws Error if the file ends before.
  void read(std::uint64_t position, std::span<std::byte> destination) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace rung::io
