#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/format.h"

namespace rung::io {
namespace {

constexpr int kAttempts = 1000;  // names that a crashed process may have left behind

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

int write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t wanted = std::min<std::size_t>(bytes.size(), std::size_t{1} << 30);
    const ssize_t written = ::write(descriptor, bytes.data(), wanted);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  require(path.has_filename(), "{}: is not the name of a file", path.string());
  std::error_code error;
  if (std::filesystem::is_symlink(path, error)) {
    path_ = std::filesystem::weakly_canonical(path, error);
    if (error) give_up("cannot follow the link", error.value());
  }
  struct stat earlier {};
  const bool exists = ::stat(path_.c_str(), &earlier) == 0;
  require(!exists || S_ISREG(earlier.st_mode), "{}: cannot write: is not a regular file",
          path_.string());

  // O_EXCL instead of mkstemp: the mode then follows the user's umask.
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    temporary_ =
        folder_of(path_) /
        fmt::format(".{}.{}.{}.tmp", path_.filename().string().substr(0, 64), ::getpid(), attempt);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && (errno != EEXIST || attempt >= kAttempts)) {
      const int reason = errno;
      temporary_.clear();
      give_up("cannot write in its folder", reason);
    }
  }
  if (exists && ::fchmod(descriptor_, earlier.st_mode & 07777) != 0)
    give_up("cannot keep its permissions", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::give_up(std::string_view action, int error) {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  if (!temporary_.empty()) ::unlink(std::exchange(temporary_, {}).c_str());
  fail("{}: {}: {}", path_.string(), action, std::generic_category().message(error));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  require(descriptor_ >= 0, "{}: cannot write: the file is already closed", path_.string());
  if (const int error = write_all(descriptor_, bytes)) give_up("cannot write", error);
}

void AtomicFile::write_at(std::uint64_t position, std::span<const std::byte> bytes) {
  require(descriptor_ >= 0, "{}: cannot write: the file is already closed", path_.string());
  if (::lseek(descriptor_, static_cast<off_t>(position), SEEK_SET) < 0)
    give_up("cannot write", errno);
  if (const int error = write_all(descriptor_, bytes)) give_up("cannot write", error);
}

void AtomicFile::commit() {
  require(descriptor_ >= 0, "{}: cannot write: the file is already closed", path_.string());
  if (::fsync(descriptor_) != 0) give_up("cannot write", errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) give_up("cannot write", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) give_up("cannot replace", errno);
  temporary_.clear();
  // The data are safe by now; the folder is synced so that the name survives a power cut as well.
  // Some file systems cannot do that, and the folder may be unreadable: not an error of the write.
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  const bool failed = ::fsync(folder) != 0 && errno == EIO;
  ::close(folder);
  require(!failed, "{}: is written, but its folder cannot be synced: input/output error",
          path_.string());
}

}  // namespace rung::io
