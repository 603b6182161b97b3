#include "io/files/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/check.h"

namespace rung::io {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must not wait for its writer before it is refused.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  require(descriptor_ >= 0, "{}: cannot open: {}", path.string(), reason(errno));
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(std::exchange(descriptor_, -1));
    fail("{}: is not a regular file", path.string());
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

void InputFile::read(std::uint64_t position, std::span<std::byte> destination) const {
  while (!destination.empty()) {
    const std::size_t wanted = std::min<std::size_t>(destination.size(), std::size_t{1} << 30);
    const ssize_t got =
        ::pread(descriptor_, destination.data(), wanted, static_cast<off_t>(position));
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, "{}: cannot read: {}", path_.string(), reason(errno));
    require(got > 0, "{}: ends too early: {} bytes are missing at byte {}", path_.string(),
            destination.size(), position);
    position += static_cast<std::uint64_t>(got);
    destination = destination.subspan(static_cast<std::size_t>(got));
  }
}

std::string read_text_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const InputFile file(path);
  require(file.size() <= max_bytes, "{}: is too large: {} bytes, at most {} are read",
          path.string(), file.size(), max_bytes);
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read(0, std::as_writable_bytes(std::span<char>(text)));
  return text;
}

}  // namespace rung::io
