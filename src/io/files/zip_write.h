#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "io/files/atomic_file.h"

struct zip;

namespace rung::io {

/// Writes a zip file of entries that are stored, not compressed, and begin at multiples of 64 bytes
/// (as torch.save's do, so that they can be mapped). The same entries give the same bytes. The file
/// appears atomically.
class ZipWriter {
 public:
  explicit ZipWriter(const std::filesystem::path& path);
  ~ZipWriter();
  ZipWriter(const ZipWriter&) = delete;
  ZipWriter& operator=(const ZipWriter&) = delete;

  /// Adds an entry. `bytes` are read in commit() and must live until then.
  void add(const std::string& name, std::span<const std::byte> bytes);
  /// Writes everything. Throws Error as AtomicFile does.
  void commit();

 private:
  struct Target;
  [[noreturn]] void give_up();

  std::string path_;
  std::unique_ptr<Target> target_;
  struct zip* zip_ = nullptr;
  std::uint64_t position_ = 0;  // where the next entry's header will stand
};

}  // namespace rung::io
