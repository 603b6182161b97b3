#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace rung::io {

/// Writes a file that appears complete or not at all: the bytes go to a temporary name in the same
/// folder, and commit() moves it over `path`. Until then, and on every Error (full disk, unwritable
/// folder), an earlier file stays as it was and the temporary one is removed. The temporary file is
/// locked, so that it can be told from those of processes that were killed (remove_unfinished).
class AtomicFile {
 public:
  /// Throws Error with path and reason if the folder is not writable or `path` is a folder, a
  /// device or a pipe. A symbolic link is followed, so that its target is replaced.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Writes at a byte position instead of behind what was written last.
  void write_at(std::uint64_t position, std::span<const std::byte> bytes);
  /// Makes the file durable and visible under its name.
  void commit();

 private:
  void open_temporary();
  [[noreturn]] void give_up(std::string_view action, int error);

  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

/// Writes all bytes to an open descriptor; returns 0, or the errno of the write that failed.
int write_all(int descriptor, std::span<const std::byte> bytes);

}  // namespace rung::io
