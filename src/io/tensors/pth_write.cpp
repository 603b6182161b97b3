#include <cstddef>
#include <set>
#include <span>
#include <variant>

#include "core/check.h"
#include "io/files/names.h"
#include "io/files/zip_write.h"
#include "io/tensors/dtype.h"
#include "io/tensors/overflow.h"
#include "io/tensors/pickle_write.h"
#include "rung/io/pth.h"

namespace rung::io {
namespace {

constexpr std::string_view kVersion = "3\n";  // of torch's zip format
constexpr std::string_view kByteOrder = "little";
constexpr const char* kFolder = "archive/";  // torch.save takes the file's name; readers any

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A value with its type.
struct Typed {
  Dtype dtype;
  Shape shape;
  std::span<const std::byte> bytes;  ///< of the value itself, or converted ones
};

/// `converted` keeps bytes alive that are not the value's own.
Typed typed(const std::string& name, const StateDictValue& value, const std::string& path,
            const SavePthOptions& options, std::vector<std::vector<std::byte>>& converted) {
  if (const auto* integers = std::get_if<IntegerTensor>(&value))
    return {Dtype::I64, integers->shape, std::as_bytes(std::span(integers->values))};
  if (const auto* raw = std::get_if<RawTensor>(&value)) return {raw->dtype, raw->shape, raw->bytes};
  const ConstTensor& tensor = std::get<ConstTensor>(value);
  require(tensor.defined(), "{}: the tensor {} is undefined", path, shown_name(name));
  const Dtype dtype = options.float_dtype;
  if (dtype == Dtype::F32) return {dtype, tensor.shape(), std::as_bytes(tensor.data())};
  std::vector<float> floats(tensor.data().begin(), tensor.data().end());
  if (options.saturate) saturate(dtype, floats);
  require_holds(dtype, floats, path, name);
  converted.emplace_back(floats.size() * static_cast<std::size_t>(bit_size(dtype) / 8));
  from_floats(dtype, floats, converted.back());
  return {dtype, tensor.shape(), converted.back()};
}

}  // namespace

void save_pth(const std::filesystem::path& path, const StateDict& state_dict,
              const SavePthOptions& options) {
  require(options.float_dtype == Dtype::F32 || options.float_dtype == Dtype::F64 ||
              options.float_dtype == Dtype::F16 || options.float_dtype == Dtype::BF16,
          "{}: floats of a PyTorch checkpoint can be F32, F64, F16 or BF16, not {}", path.string(),
          to_string(options.float_dtype));
  StateDictPickle pickle;
  std::set<std::string_view> names;
  std::vector<std::vector<std::byte>> converted;
  std::vector<std::span<const std::byte>> storages;
  for (const auto& [name, value] : state_dict) {
    require(!name.empty() && names.insert(name).second, "{}: the tensor name {} is empty or taken",
            path.string(), shown_name(name));
    const Typed data = typed(name, value, path.string(), options, converted);
    const std::uint64_t stored = data.bytes.size() * 8;
    const auto bits = static_cast<std::uint64_t>(bit_size(data.dtype));
    require(stored == static_cast<std::uint64_t>(data.shape.numel()) * bits,
            "{}: {} has {} values, its shape {} needs {}", path.string(), shown_name(name),
            stored / bits, data.shape, data.shape.numel());
    pickle.tensor(name, data.dtype, data.shape, std::to_string(storages.size()));
    storages.push_back(data.bytes);
  }
  const std::string object = pickle.finish();

  ZipWriter zip(path);
  const std::string folder = kFolder;
  zip.add(folder + "data.pkl", bytes_of(object));
  zip.add(folder + "byteorder", bytes_of(kByteOrder));
  for (std::size_t i = 0; i < storages.size(); ++i)
    zip.add(folder + "data/" + std::to_string(i), storages[i]);
  zip.add(folder + "version", bytes_of(kVersion));
  zip.commit();
}

}  // namespace rung::io
