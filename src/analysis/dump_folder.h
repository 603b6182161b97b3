#pragma once

#include <filesystem>

namespace rung::analysis {

/// A folder that appears complete or not at all: it is filled under another name beside its own.
/// The destructor removes what was not put in place; what processes that were killed have left goes
/// with the next one of the same name. A running process holds a lock on its own.
class DumpFolder {
 public:
  /// Throws Error unless there is nothing in its place but an empty folder or a dump, and if it
  /// cannot be created.
  explicit DumpFolder(const std::filesystem::path& wanted);
  ~DumpFolder();
  DumpFolder(const DumpFolder&) = delete;
  DumpFolder& operator=(const DumpFolder&) = delete;

  /// Where files are written.
  const std::filesystem::path& path() const { return temporary_; }
  /// Gives it its name; throws Error if that has become impossible.
  void put_in_place();

 private:
  void remove_abandoned() const;

  std::filesystem::path folder_, temporary_;
  int lock_ = -1;
};

}  // namespace rung::analysis
