#include "io/files/zip_write.h"

#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "core/check.h"

namespace rung::io {
namespace {

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kLocalHeader = 30, kExtraHeader = 4;  // bytes, APPNOTE 4.3.7 and 4.5.1
constexpr zip_uint16_t kPadding = 0x4246;  // the extra field "FB", in which torch pads, too
constexpr zip_uint16_t kDosTime = 0, kDosDate = (1 << 5) | 1;  // 1 January 1980
// Sizes above need another header, whose length libzip decides.
constexpr std::uint64_t kLargest = 0xfffffffe;

}  // namespace

/// What libzip writes to: an AtomicFile behind the interface of a zip_source.
struct ZipWriter::Target {
  explicit Target(const std::filesystem::path& path) : file(path) { zip_error_init(&error); }
  ~Target() { zip_error_fini(&error); }

  AtomicFile file;
  std::uint64_t position = 0, end = 0;
  zip_error_t error;
  std::exception_ptr failure;  // C code must not see exceptions

  zip_int64_t refuse(int code, int system) {
    zip_error_set(&error, code, system);
    return -1;
  }

  zip_int64_t write(std::span<const std::byte> bytes) {
    try {
      file.write_at(position, bytes);
    } catch (...) {
      failure = std::current_exception();
      return refuse(ZIP_ER_WRITE, EIO);
    }
    position += bytes.size();
    end = std::max(end, position);
    return static_cast<zip_int64_t>(bytes.size());
  }

  zip_int64_t seek(void* data, zip_uint64_t length) {
    const zip_int64_t target = zip_source_seek_compute_offset(position, end, data, length, &error);
    if (target < 0) return -1;
    position = static_cast<std::uint64_t>(target);
    return 0;
  }

  static zip_int64_t call(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) {
    auto& target = *static_cast<Target*>(self);
    switch (command) {
      case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_WRITABLE;
      case ZIP_SOURCE_STAT:  // there is no archive yet
      case ZIP_SOURCE_OPEN:
        return target.refuse(ZIP_ER_READ, ENOENT);
      case ZIP_SOURCE_WRITE:
        return target.write({static_cast<const std::byte*>(data), length});
      case ZIP_SOURCE_SEEK_WRITE:
        return target.seek(data, length);
      case ZIP_SOURCE_TELL_WRITE:
        return static_cast<zip_int64_t>(target.position);
      case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&target.error, data, length);
      case ZIP_SOURCE_BEGIN_WRITE:
      case ZIP_SOURCE_COMMIT_WRITE:  // the AtomicFile is committed behind zip_close
      case ZIP_SOURCE_ROLLBACK_WRITE:
      case ZIP_SOURCE_REMOVE:
      case ZIP_SOURCE_FREE:
      case ZIP_SOURCE_CLOSE:
        return 0;
      default:
        return target.refuse(ZIP_ER_OPNOTSUPP, 0);
    }
  }
};

ZipWriter::ZipWriter(const std::filesystem::path& path)
    : path_(path.string()), target_(std::make_unique<Target>(path)) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_function_create(&Target::call, target_.get(), &error);
  if (source != nullptr) zip_ = zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &error);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  if (zip_ != nullptr) return;
  if (source != nullptr) zip_source_free(source);
  fail("{}: cannot write a zip file: {}", path_, reason);
}

ZipWriter::~ZipWriter() {
  if (zip_ != nullptr) zip_discard(zip_);
}

void ZipWriter::give_up() {
  if (target_->failure) std::rethrow_exception(target_->failure);
  fail("{}: cannot write a zip file: {}", path_, zip_strerror(zip_));
}

void ZipWriter::add(const std::string& name, std::span<const std::byte> bytes) {
  const std::uint64_t begin = position_ + kLocalHeader + name.size() + kExtraHeader;
  const std::uint64_t padding = (kAlignment - begin % kAlignment) % kAlignment;
  position_ = begin + padding + bytes.size();
  require(position_ <= kLargest, "{}: would be larger than 4 GiB: write *.safetensors instead",
          path_);
  zip_source_t* source = zip_source_buffer(zip_, bytes.data(), bytes.size(), /*freep=*/0);
  if (source == nullptr) give_up();
  const zip_int64_t index = zip_file_add(zip_, name.c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    give_up();
  }
  const auto at = static_cast<zip_uint64_t>(index);
  const std::vector<zip_uint8_t> zeros(padding, 0);
  if (zip_set_file_compression(zip_, at, ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(zip_, at, kDosTime, kDosDate, 0) != 0 ||
      zip_file_extra_field_set(zip_, at, kPadding, ZIP_EXTRA_FIELD_NEW, zeros.data(),
                               static_cast<zip_uint16_t>(padding), ZIP_FL_LOCAL) != 0)
    give_up();
}

void ZipWriter::commit() {
  if (zip_close(zip_) != 0) give_up();
  zip_ = nullptr;
  target_->file.commit();
}

}  // namespace rung::io
