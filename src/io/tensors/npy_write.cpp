#include "io/tensors/npy_write.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "io/files/atomic_file.h"

namespace rung::io {
namespace {

constexpr std::size_t kStart = 10;  // magic, version, length
constexpr std::size_t kNpyAlignment = 64;
constexpr std::size_t kRoom = 20;  // digits of the number of rows

std::string_view descr_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::BOOL:
      return "|b1";
    case Dtype::U8:
      return "|u1";
    case Dtype::I8:
      return "|i1";
    case Dtype::U16:
      return "<u2";
    case Dtype::I16:
      return "<i2";
    case Dtype::U32:
      return "<u4";
    case Dtype::I32:
      return "<i4";
    case Dtype::U64:
      return "<u8";
    case Dtype::I64:
      return "<i8";
    case Dtype::F16:
      return "<f2";
    case Dtype::F32:
      return "<f4";
    case Dtype::F64:
      return "<f8";
    default:
      fail("npy: NumPy has no type {}", to_string(dtype));
  }
}

/// Returns the dictionary of the header, in the spelling of NumPy's own files.
std::string dictionary(Dtype dtype, const std::vector<std::int64_t>& dims) {
  std::string shape;
  for (const std::int64_t extent : dims)
    shape += fmt::format("{}{}", shape.empty() ? "" : ", ", extent);
  if (dims.size() == 1) shape += ',';
  return fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr_of(dtype),
                     shape);
}

}  // namespace

NpyWriter::NpyWriter(std::filesystem::path path, Dtype dtype, std::vector<std::int64_t> row)
    : path_(std::move(path)), dtype_(dtype), row_(std::move(row)) {
  std::vector<std::int64_t> dims = row_;
  dims.insert(dims.begin(), 0);
  const std::size_t needed = kStart + dictionary(dtype_, dims).size() + kRoom + 1;
  header_size_ = (needed + kNpyAlignment - 1) / kNpyAlignment * kNpyAlignment;
  const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  require(file >= 0, "{}: cannot write: {}", path_.string(),
          std::generic_category().message(errno));
  ::close(file);
  write_header(false);
}

void NpyWriter::write(std::uint64_t position, std::span<const std::byte> bytes) const {
  const int file = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  int error = file < 0 ? errno : 0;
  if (error == 0 && ::lseek(file, static_cast<off_t>(position), SEEK_SET) < 0) error = errno;
  if (error == 0) error = write_all(file, bytes);
  if (file >= 0 && ::close(file) != 0 && error == 0) error = errno;
  require(error == 0, "{}: cannot write: {}", path_.string(),
          std::generic_category().message(error));
}

void NpyWriter::write_header(bool only_row) const {
  std::vector<std::int64_t> dims = row_;
  if (!only_row) dims.insert(dims.begin(), rows_);
  std::string text = dictionary(dtype_, dims);
  text.resize(header_size_ - kStart - 1, ' ');
  const std::size_t length = text.size() + 1;
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(length & 0xff);
  header += static_cast<char>(length >> 8);
  header += text + '\n';
  write(0, std::as_bytes(std::span(header)));
}

void NpyWriter::append(std::int64_t rows, std::span<const std::byte> bytes) {
  write(header_size_ + bytes_, bytes);
  rows_ += rows;
  bytes_ += bytes.size();
}

void NpyWriter::finish(bool only_row) {
  require(!only_row || rows_ == 1, "{}: has {} rows, not one", path_.string(), rows_);
  write_header(only_row);
}

}  // namespace rung::io
