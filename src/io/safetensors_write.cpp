#include <array>
#include <cstdint>
#include <set>

#include "core/format.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/names.h"
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
    const std::int64_t bytes = shape.numel() * (bit_size(dtype) / 8);
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

}  // namespace

void save_safetensors(const std::filesystem::path& path, const SafetensorsContent& content) {
  HeaderWriter writer(path.string());
  writer.metadata(content.metadata);
  // The wider type first keeps every tensor aligned to its own size.
  for (const auto& [name, tensor] : content.integers) {
    require(static_cast<std::int64_t>(tensor.values.size()) == tensor.shape.numel(),
            "{}: {} has {} values, its shape {} needs {}", path.string(), shown_name(name),
            tensor.values.size(), tensor.shape, tensor.shape.numel());
    writer.tensor(name, Dtype::I64, tensor.shape);
  }
  for (const auto& [name, tensor] : content.tensors) {
    require(tensor.defined(), "{}: the tensor {} is undefined", path.string(), shown_name(name));
    writer.tensor(name, Dtype::F32, tensor.shape());
  }
  const std::string header = writer.finish();

  AtomicFile file(path);
  const std::array<std::uint64_t, 1> length{header.size()};
  file.write(std::as_bytes(std::span(length)));
  file.write(header);
  for (const auto& [name, tensor] : content.integers)
    file.write(std::as_bytes(std::span(tensor.values)));
  for (const auto& [name, tensor] : content.tensors) file.write(std::as_bytes(tensor.data()));
  file.commit();
}

}  // namespace rung::io
