#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <vector>

#include "core/check.h"
#include "io/files/atomic_file.h"
#include "io/files/json.h"
#include "io/files/names.h"
#include "io/tensors/dtype.h"
#include "io/tensors/overflow.h"
#include "io/tensors/safetensors_stream.h"
#include "rung/io/safetensors.h"

namespace rung::io {
namespace {

constexpr std::size_t kMaxHeader = 100'000'000;

/// Assembles the header by hand because the order of its keys is that of the data.
class HeaderWriter {
 public:
  explicit HeaderWriter(std::string path) : path_(std::move(path)) {}

  void metadata(const std::map<std::string, std::string>& map) {
    if (!map.empty()) member("__metadata__", Json(map));
  }
  void tensor(const std::string& name, Dtype dtype, const Shape& shape) {
    require(!name.empty() && name != "__metadata__" && names_.insert(name).second,
            "{}: the tensor name {} is empty, reserved or taken", path_, shown_name(name));
    const std::int64_t bytes = shape.numel() * bit_size(dtype) / 8;
    member(name, {{"dtype", to_string(dtype)},
                  {"shape", shape.dims()},
                  {"data_offsets", {position_, position_ + bytes}}});
    position_ += bytes;
  }
  std::string finish() {
    text_ += text_.empty() ? "{}" : "}";
    text_.append((8 - text_.size() % 8) % 8, ' ');  // so that the data are aligned to 8 bytes
    require(text_.size() <= kMaxHeader,
            "{}: the header would take {} bytes, at most {} are allowed", path_, text_.size(),
            kMaxHeader);
    return std::move(text_);
  }

 private:
  void member(const std::string& key, const Json& value) {
    text_ += text_.empty() ? '{' : ',';
    text_ += dump_json(Json(key), path_) + ":" + dump_json(value, path_);
  }

  std::string path_, text_;
  std::set<std::string> names_;
  std::int64_t position_ = 0;
};

constexpr std::size_t kChunkElements = 1 << 14;  // elements converted at a time

/// One tensor that is to be written: of floats, of integers, or bytes.
struct Source {
  std::string name;
  Shape shape;
  Dtype dtype;
  std::span<const float> floats;
  std::span<const std::int64_t> integers;
  std::span<const std::byte> bytes;
  bool saturates = false;
};

/// Converts and hands over the bytes in chunks; returns false if the dtype does not hold a value.
template <typename Consume>
bool stream(const Source& source, const Consume& consume) {
  if (!source.bytes.empty()) {
    consume(source.bytes);
    return true;
  }
  if (source.dtype == Dtype::F32 && source.integers.empty()) {
    consume(std::as_bytes(source.floats));
    return true;
  }
  if (source.dtype == Dtype::I64 && source.floats.empty()) {
    consume(std::as_bytes(source.integers));
    return true;
  }
  const auto element = static_cast<std::size_t>(bit_size(source.dtype) / 8);
  std::vector<std::byte> buffer(kChunkElements * element);
  const auto convert = [&](const auto& values, const auto& from) {
    for (std::size_t at = 0; at < values.size(); at += kChunkElements) {
      const auto part = values.subspan(at, std::min(kChunkElements, values.size() - at));
      const auto bytes = std::span(buffer).first(part.size() * element);
      if (!from(source.dtype, part, bytes)) return false;
      consume(std::span<const std::byte>(bytes));
    }
    return true;
  };
  std::vector<float> clamped;
  const auto from = [&](Dtype dtype, std::span<const float> values, std::span<std::byte> out) {
    if (!source.saturates) return from_floats(dtype, values, out);
    clamped.assign(values.begin(), values.end());
    saturate(dtype, clamped);
    return from_floats(dtype, clamped, out);
  };
  return convert(source.floats, from) && convert(source.integers, from_integers);
}

/// Returns the tensors in the order of their data, checked.
std::vector<Source> sources_of(const SafetensorsContent& content, const std::string& path) {
  std::vector<Source> sources;
  std::size_t chosen = 0;
  const auto dtype_of = [&](const std::string& name, Dtype usual) {
    const auto found = content.dtypes.find(name);
    if (found == content.dtypes.end()) return usual;
    ++chosen;
    return found->second;
  };
  for (const auto& [name, tensor] : content.integers) {
    require(static_cast<std::int64_t>(tensor.values.size()) == tensor.shape.numel(),
            "{}: {} has {} values, its shape {} needs {}", path, shown_name(name),
            tensor.values.size(), tensor.shape, tensor.shape.numel());
    const Dtype dtype = dtype_of(name, Dtype::I64);
    require(converts_to_integer(dtype), "{}: {} is of integers, which are not written as {}", path,
            shown_name(name), to_string(dtype));
    sources.push_back({name, tensor.shape, dtype, {}, tensor.values, {}});
  }
  for (const auto& [name, tensor] : content.tensors) {
    require(tensor.defined(), "{}: the tensor {} is undefined", path, shown_name(name));
    const Dtype dtype = dtype_of(name, Dtype::F32);
    require(converts_to_float(dtype), "{}: {} is of floats, which are not written as {}", path,
            shown_name(name), to_string(dtype));
    if (!content.saturate) require_holds(dtype, tensor.data(), path, name);
    sources.push_back({name, tensor.shape(), dtype, tensor.data(), {}, {}, content.saturate});
  }
  for (const auto& [name, tensor] : content.raw) {
    const auto stored = static_cast<std::int64_t>(tensor.bytes.size()) * 8;
    require(stored == tensor.shape.numel() * bit_size(tensor.dtype),
            "{}: {} has {} bytes, {} {} needs another number", path, shown_name(name),
            tensor.bytes.size(), to_string(tensor.dtype), tensor.shape);
    sources.push_back({name, tensor.shape, tensor.dtype, {}, {}, tensor.bytes});
  }
  require(chosen >= content.dtypes.size(), "{}: a dtype is given for a tensor that is not there",
          path);
  for (const Source& source : sources)
    require(stream(source, [](auto) {}), "{}: {} has values that {} does not hold", path,
            shown_name(source.name), to_string(source.dtype));
  // The wider type first keeps every tensor aligned to its own size.
  std::ranges::stable_sort(sources, std::ranges::greater{},
                           [](const Source& source) { return bit_size(source.dtype); });
  return sources;
}

}  // namespace

void save_safetensors(const std::filesystem::path& path, const SafetensorsContent& content) {
  const std::vector<Source> sources = sources_of(content, path.string());
  HeaderWriter writer(path.string());
  writer.metadata(content.metadata);
  for (const Source& source : sources) writer.tensor(source.name, source.dtype, source.shape);
  const std::string header = writer.finish();

  AtomicFile file(path);
  const std::array<std::uint64_t, 1> length{header.size()};
  file.write(std::as_bytes(std::span(length)));
  file.write(header);
  for (const Source& source : sources)
    stream(source, [&](std::span<const std::byte> bytes) { file.write(bytes); });
  file.commit();
}

void save_safetensors(const std::filesystem::path& path, std::span<const StreamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata) {
  HeaderWriter writer(path.string());
  writer.metadata(metadata);
  for (const StreamedTensor& each : tensors) writer.tensor(each.name, each.dtype, each.shape);
  const std::string header = writer.finish();
  AtomicFile file(path);
  const std::array<std::uint64_t, 1> length{header.size()};
  file.write(std::as_bytes(std::span(length)));
  file.write(header);
  for (const StreamedTensor& each : tensors) {
    std::int64_t left = each.shape.numel() * bit_size(each.dtype) / 8;
    each.data([&](std::span<const std::byte> bytes) {
      left -= std::ssize(bytes);
      file.write(bytes);
    });
    require(left == 0, "{}: {} {} needs another number of bytes", path.string(),
            shown_name(each.name), each.shape);
  }
  file.commit();
}

}  // namespace rung::io
