#pragma once

#include <sys/resource.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "rung/core/error.h"
#include "support/message_of.h"
#include "support/temporary_folder.h"

namespace iotest {

using ::TemporaryFolder;

/// Makes every write beyond `bytes` of a file fail while it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::remove(path);  // some file systems flush a file that is truncated: slow
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
}

/// Returns the bytes of a safetensors file with this header and this many zero bytes of data.
inline std::string with_header(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header +
         std::string(data_bytes, '\0');
}

/// Changes one to three bytes among the first `range` ones; the same state gives the same damage.
inline std::string damaged(std::string bytes, std::size_t range, std::uint64_t& state) {
  const auto draw = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
  };
  static constexpr std::string_view kTelling = "0123456789{}[]\",:-.eE\\ \0\xff";
  for (std::uint64_t left = draw() % 3 + 1; left > 0; --left) {
    const std::uint64_t kind = draw();
    bytes[draw() % range] =
        kind % 2 == 0 ? static_cast<char>(draw() & 0xff) : kTelling[draw() % kTelling.size()];
  }
  return bytes;
}

}  // namespace iotest
