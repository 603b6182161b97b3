#include "datasets/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>

#include "core/check.h"
#include "core/join.h"
#include "io/files/file.h"
#include "rung/io/file_kind.h"

namespace rung::datasets {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr std::uint8_t kUnsignedByte = 0x08;  // the third byte of the magic number: element type

/// A file that zlib unpacks while reading; it passes plain files through.
class GzFile {
 public:
  GzFile(std::string path, const std::string& remedy)
      : path_(std::move(path)), file_(nullptr, gzclose_r) {
    // gzopen would wait for the writer of a pipe, and read a device without end.
    std::error_code unknown;
    if (std::filesystem::exists(path_, unknown)) const io::InputFile regular(path_);
    errno = 0;
    file_.reset(gzopen(path_.c_str(), "rb"));
    if (file_ == nullptr)
      fail("{}: cannot open: {}{}", path_, errno != 0 ? std::strerror(errno) : "out of memory",
           errno == ENOENT ? "; " + remedy : "");
    gzbuffer(file_.get(), 1 << 17);
  }

  const std::string& path() const { return path_; }

  /// Returns how many bytes came: fewer than asked for only at the end of the file.
  std::size_t read(std::span<std::uint8_t> bytes) {
    errno = 0;
    const int got = gzread(file_.get(), bytes.data(), static_cast<unsigned>(bytes.size()));
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    // zlib reports the missing end of a compressed stream as a buffer error, with what it got.
    if (code == Z_BUF_ERROR) fail("{}: the compressed file is truncated; get it again", path_);
    if (code == Z_ERRNO) fail("{}: cannot read: {}", path_, std::strerror(errno));
    if (got < 0) fail("{}: the file is damaged ({}); get it again", path_, message);
    return static_cast<std::size_t>(got);
  }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

std::string existing(const std::string& stem) {
  const std::string packed = stem + ".gz";
  std::error_code error;  // that of a folder that cannot be entered is for the reader to report
  const bool has_stem = std::filesystem::exists(stem, error);
  return has_stem && !std::filesystem::exists(packed, error) && !error ? stem : packed;
}

/// Says what a file is, if that is known: " (it is an HTML page, ...)". Of a packed one it is not.
std::string what_else(const std::string& path) {
  const io::FileKind kind = io::file_kind(path);
  const bool is_packed = kind.what.starts_with("a gzip");
  return kind.format == io::FileFormat::unknown || is_packed
             ? ""
             : fmt::format(" (it is {})", kind.what);
}

std::vector<std::int64_t> read_header(GzFile& file, int rank) {
  std::array<std::uint8_t, 4> magic{};
  const std::array<std::uint8_t, 4> expected{0, 0, kUnsignedByte, static_cast<std::uint8_t>(rank)};
  const std::size_t got = file.read(magic);
  if (got != magic.size() || magic != expected)
    fail(
        "{}: not an IDX file of unsigned bytes in {} dimensions: it starts with {:02x}, expected "
        "{:02x}{}",
        file.path(), rank, fmt::join(magic.begin(), magic.begin() + got, " "),
        fmt::join(expected, " "), what_else(file.path()));
  std::vector<std::int64_t> dims;
  for (int i = 0; i < rank; ++i) {
    std::array<std::uint8_t, 4> bytes{};  // big endian
    require(file.read(bytes) == bytes.size(), "{}: truncated within the header", file.path());
    dims.push_back(std::int64_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]);
    require(dims.back() > 0, "{}: dimension {} of the header is 0", file.path(), i);
  }
  return dims;
}

}  // namespace

Idx read_idx(const std::string& stem, int rank, const std::string& remedy) {
  GzFile file(existing(stem), remedy);
  Idx idx{file.path(), read_header(file, rank), {}};
  std::int64_t count = 1;
  for (const std::int64_t extent : idx.dims)
    require(!__builtin_mul_overflow(count, extent, &count), "{}: the header claims [{}] bytes",
            idx.path, join(idx.dims));
  const auto expected = static_cast<std::uint64_t>(count);
  while (idx.data.size() < expected) {
    const std::size_t begin = idx.data.size();
    idx.data.resize(begin + std::min<std::uint64_t>(kPiece, expected - begin));
    const std::size_t got = file.read(std::span(idx.data).subspan(begin));
    require(begin + got == idx.data.size(),
            "{}: truncated: the header says [{}], {} bytes, but only {} follow; get it again",
            idx.path, join(idx.dims), expected, begin + got);
  }
  // Reading past the end also makes zlib compare the checksum.
  std::array<std::uint8_t, 1> more{};
  require(file.read(more) == 0, "{}: longer than the [{}], {} bytes, that its header says",
          idx.path, join(idx.dims), expected);
  return idx;
}

}  // namespace rung::datasets
