#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "core/check.h"
#include "io/files/file.h"
#include "io/files/file_kind.h"
#include "io/files/json.h"
#include "io/files/names.h"
#include "io/tensors/dtype.h"
#include "io/tensors/overflow.h"
#include "rung/core/closest.h"
#include "rung/io/safetensors.h"

namespace rung::io {
namespace {

constexpr std::uint64_t kHeaderCap = 100'000'000;  // the format's own cap
constexpr std::size_t kMaxName = 4096;
constexpr std::size_t kMaxRank = 64;
constexpr std::size_t kChunkBytes = 1 << 16;  // bytes converted at a time
constexpr std::string_view kMetadata = "__metadata__";

std::string read_header(const InputFile& file) {
  const std::string path = file.path().string();
  require_format(file, {FileFormat::safetensors, FileFormat::model}, "a safetensors file");
  require(file.size() >= 8, "{}: not a safetensors file: it has only {} bytes", path, file.size());
  std::array<std::byte, 8> prefix;
  file.read(0, prefix);
  const auto length = std::bit_cast<std::uint64_t>(prefix);
  require(length <= kHeaderCap, "{}: is a file of an unknown kind; expected a safetensors file",
          path);
  require(length <= file.size() - 8, "{}: truncated: a header of {} bytes in a file of {}", path,
          length, file.size());
  std::string header(static_cast<std::size_t>(length), '\0');
  file.read(8, std::as_writable_bytes(std::span<char>(header)));
  require(header.starts_with('{'), "{}: not a safetensors file: its header is no JSON object",
          path);
  return header;
}

/// Returns the bytes that shape and dtype need, with every multiplication checked.
std::uint64_t byte_count(const JsonPlace& shape, Dtype dtype) {
  std::uint64_t bits = static_cast<std::uint64_t>(bit_size(dtype));
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto extent = static_cast<std::uint64_t>(shape[i].integer(0));
    if (__builtin_mul_overflow(bits, extent, &bits)) shape.refuse("has too many elements");
  }
  if (bits % 8 != 0) shape.refuse("does not fill whole bytes");
  return bits / 8;
}

TensorInfo parse_entry(const std::string& name, const JsonPlace& entry) {
  TensorInfo info;
  info.name = name;
  const std::string& type = entry["dtype"].string();
  const auto dtype = dtype_from_string(type);
  if (!dtype) entry.refuse(fmt::format("has the unknown dtype {}", shown_name(type)));
  info.dtype = *dtype;

  const JsonPlace shape = entry["shape"].array(kMaxRank);
  const std::uint64_t needed = byte_count(shape, info.dtype);
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < shape.size(); ++i) dims.push_back(shape[i].integer(0));
  info.shape = Shape(std::move(dims));

  const JsonPlace offsets = entry["data_offsets"].array(2);
  info.begin = static_cast<std::uint64_t>(offsets[0].integer(0));
  info.end = static_cast<std::uint64_t>(offsets[1].integer(0));
  if (info.end < info.begin || info.end - info.begin != needed)
    entry.refuse(fmt::format("has data_offsets [{}, {}], but {} {} needs {} bytes", info.begin,
                             info.end, type, info.shape, needed));
  return info;
}

/// Refuses byte ranges that overlap, leave gaps or do not end where the file ends.
void check_ranges(const std::vector<TensorInfo>& tensors, std::uint64_t data_size,
                  const std::string& path) {
  std::uint64_t position = 0;
  for (const TensorInfo& info : tensors) {
    require(info.begin == position, "{}: the data of {} begin at byte {}, expected {}: they {}",
            path, shown_name(info.name), info.begin, position,
            info.begin < position ? "overlap the tensor before" : "leave a gap");
    position = info.end;
  }
  require(position == data_size, "{}: {}: its header describes {} bytes of data, it has {}", path,
          position > data_size ? "truncated" : "too long", position, data_size);
}

}  // namespace

struct SafetensorsFile::Impl {
  explicit Impl(const std::filesystem::path& path) : file(path) {}

  /// Hands the tensor's bytes over in chunks of whole elements.
  template <typename Consume>
  void stream(const TensorInfo& info, std::size_t element, const Consume& consume) const {
    std::vector<std::byte> buffer(kChunkBytes / element * element);
    for (std::uint64_t at = info.begin; at < info.end; at += buffer.size()) {
      const auto size =
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), info.end - at));
      file.read(data + at, std::span(buffer).first(size));
      consume(std::span<const std::byte>(buffer).first(size),
              static_cast<std::size_t>(at - info.begin) / element);
    }
  }

  InputFile file;
  std::uint64_t data = 0;  // where the data begin
  std::vector<TensorInfo> tensors;
  std::unordered_map<std::string, std::size_t> index;
  std::map<std::string, std::string> metadata;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : impl_(std::make_unique<Impl>(path)) {
  const std::string text = read_header(impl_->file);
  impl_->data = 8 + text.size();
  const Json header = parse_json(text, path.string() + " (header)");
  const JsonPlace root(header, path.string());
  for (const auto& [name, entry] : root.object().json().items()) {
    const JsonPlace place = root[name];
    if (name == kMetadata) {
      for (const auto& [key, value] : place.object().json().items())
        impl_->metadata[key] = place[key].string();
      continue;
    }
    if (name.size() > kMaxName) place.refuse("has too long a name");
    impl_->tensors.push_back(parse_entry(name, place));
  }
  // By end as well: an empty tensor stands before the one that begins at the same byte.
  std::ranges::sort(impl_->tensors, {}, [](const TensorInfo& info) {
    return std::tie(info.begin, info.end, info.name);
  });
  check_ranges(impl_->tensors, impl_->file.size() - impl_->data, path.string());
  for (std::size_t i = 0; i < impl_->tensors.size(); ++i)
    impl_->index.emplace(impl_->tensors[i].name, i);
}

SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

const std::filesystem::path& SafetensorsFile::path() const { return impl_->file.path(); }
const std::vector<TensorInfo>& SafetensorsFile::tensors() const { return impl_->tensors; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return impl_->metadata;
}

bool SafetensorsFile::contains(std::string_view name) const {
  return impl_->index.contains(std::string(name));
}

const TensorInfo& SafetensorsFile::info(std::string_view name) const {
  const auto found = impl_->index.find(std::string(name));
  if (found != impl_->index.end()) return impl_->tensors[found->second];
  std::vector<std::string> names;
  for (const TensorInfo& info : impl_->tensors) names.push_back(info.name);
  fail("{}: no tensor is named {}; closest: {}", path().string(), shown_name(name),
       closest_names(name, names));
}

Tensor SafetensorsFile::tensor(std::string_view name, bool saturate) const {
  const TensorInfo& from = info(name);
  require(converts_to_float(from.dtype), "{}: {} has dtype {}, which is not converted to float32",
          path().string(), shown_name(name), to_string(from.dtype));
  Tensor result(from.shape);
  if (from.dtype == Dtype::F32) {
    impl_->file.read(impl_->data + from.begin, std::as_writable_bytes(result.data()));
    return result;
  }
  const auto element = static_cast<std::size_t>(bit_size(from.dtype) / 8);
  const std::string file = path().string();
  const Conversion conversion{.path = file, .name = name, .saturate = saturate};
  impl_->stream(from, element, [&](std::span<const std::byte> chunk, std::size_t first) {
    to_finite_floats(from.dtype, chunk, result.data().subspan(first, chunk.size() / element), first,
                     conversion);
  });
  return result;
}

std::vector<std::int64_t> SafetensorsFile::integers(std::string_view name) const {
  const TensorInfo& from = info(name);
  require(converts_to_integer(from.dtype), "{}: {} has dtype {}, expected integers",
          path().string(), shown_name(name), to_string(from.dtype));
  std::vector<std::int64_t> result(static_cast<std::size_t>(from.shape.numel()));
  const auto element = static_cast<std::size_t>(bit_size(from.dtype) / 8);
  impl_->stream(from, element, [&](std::span<const std::byte> chunk, std::size_t first) {
    const auto target = std::span(result).subspan(first, chunk.size() / element);
    require(to_integers(from.dtype, chunk, target), "{}: {} has values beyond int64",
            path().string(), shown_name(name));
  });
  return result;
}

std::vector<std::byte> SafetensorsFile::bytes(std::string_view name) const {
  const TensorInfo& from = info(name);
  std::vector<std::byte> result(static_cast<std::size_t>(from.end - from.begin));
  impl_->file.read(impl_->data + from.begin, result);
  return result;
}

}  // namespace rung::io
