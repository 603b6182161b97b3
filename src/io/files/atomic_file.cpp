#include "io/files/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/check.h"
#include "rung/io/output_file.h"

namespace rung::io {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 1000;  // names that a crashed process may have left behind

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Returns the part of a temporary file's name, ".PART.PID.NUMBER.tmp", that tells its target: the
/// beginning of the target's name, without half a character of UTF-8 at its end.
std::string part_of(const fs::path& target) {
  constexpr std::size_t kMost = 64;
  std::string name = target.filename().string();
  if (name.size() <= kMost) return name;
  const auto continues = [&](std::size_t at) { return (name[at] & 0xC0) == 0x80; };
  std::size_t end = kMost;
  while (end > kMost - 4 && continues(end)) --end;
  return name.substr(0, end);
}

/// Takes ".NUMBER" off the end of a name; returns whether it was there.
bool drop_number(std::string& name) {
  const std::size_t dot = name.find_last_not_of("0123456789");
  if (dot == std::string::npos || name[dot] != '.' || dot + 1 == name.size()) return false;
  name.resize(dot);
  return true;
}

/// Returns the PART of a temporary file's name, empty for other names.
std::string part_in(std::string name) {
  constexpr std::string_view kEnd = ".tmp";
  if (!name.starts_with('.') || !name.ends_with(kEnd)) return {};
  name.resize(name.size() - kEnd.size());
  return drop_number(name) && drop_number(name) ? name.substr(1) : std::string();
}

/// Removes a temporary file unless a process still holds its lock. Where locks are not known, it
/// stays.
void remove_if_abandoned(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
  ::close(descriptor);
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

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  require(path.has_filename(), "{}: is not the name of a file", path.string());
  std::error_code error;
  if (fs::is_symlink(path, error)) {
    fs::path target = fs::weakly_canonical(path, error);
    if (error) give_up("cannot follow the link", error.value());
    path_ = std::move(target);
  }
  struct stat earlier {};
  const bool exists = ::stat(path_.c_str(), &earlier) == 0;
  // Nothing there is as it should be. Of the folder opening says more.
  if (!exists && errno == ENAMETOOLONG) {
    const std::string name = path_.filename().string();
    require(name.size() <= NAME_MAX,
            "{}: cannot write: {}: it has {} bytes, at most {} are allowed", path_.string(),
            std::generic_category().message(ENAMETOOLONG), name.size(), NAME_MAX);
    give_up("cannot write", ENAMETOOLONG);
  }
  if (!exists && errno == ELOOP) give_up("cannot write", ELOOP);
  require(!exists || S_ISREG(earlier.st_mode), "{}: cannot write: is not a regular file",
          path_.string());

  open_temporary();
  if (exists && ::fchmod(descriptor_, earlier.st_mode & 07777) != 0)
    give_up("cannot keep its permissions", errno);
}

void AtomicFile::open_temporary() {
  // O_EXCL instead of mkstemp: the mode then follows the user's umask.
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    temporary_ =
        folder_of(path_) / fmt::format(".{}.{}.{}.tmp", part_of(path_), ::getpid(), attempt);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && (errno != EEXIST || attempt >= kAttempts)) {
      const int reason = errno;
      temporary_.clear();
      give_up("cannot write in its folder", reason);
    }
    if (descriptor_ < 0) continue;
    // Between the two calls another process may have found it without a lock, and removed it.
    (void)::flock(descriptor_, LOCK_EX);
    struct stat status {};
    if (::fstat(descriptor_, &status) == 0 && status.st_nlink == 0)
      ::close(std::exchange(descriptor_, -1));
  }
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
  // Closed afterwards: the lock must last as long as the temporary name.
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) give_up("cannot replace", errno);
  temporary_.clear();
  ::close(std::exchange(descriptor_, -1));
  // The data are safe by now; the folder is synced so that the name survives a power cut as well.
  // Some file systems cannot do that, and the folder may be unreadable: not an error of the write.
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  const bool failed = ::fsync(folder) != 0 && errno == EIO;
  ::close(folder);
  require(!failed, "{}: is written, but its folder cannot be synced: input/output error",
          path_.string());
}

void check_can_write(const fs::path& path) { const AtomicFile probe(path); }

void remove_unfinished(const fs::path& path) {
  const std::string target = path.filename().string(), part = part_of(path);
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(folder_of(path), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string other = part_in(entry->path().filename().string());
    const bool is_meant = target.ends_with('-') ? other.starts_with(target) : other == part;
    if (is_meant && !other.empty()) found.push_back(entry->path());
  }
  for (const fs::path& each : found) remove_if_abandoned(each);
}

}  // namespace rung::io
