#include <cstddef>
#include <set>
#include <span>
#include <variant>

#include "core/format.h"
#include "io/dtype.h"
#include "io/names.h"
#include "io/pickle_write.h"
#include "io/zip_write.h"
#include "rung/io/pth.h"

namespace rung::io {
namespace {

constexpr std::string_view kVersion = "3\n";  // of torch's zip format
constexpr std::string_view kByteOrder = "little";
constexpr const char* kFolder = "archive/";  // torch.save takes the file's name; readers any

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Returns the bytes of a value: its own, or converted ones that `converted` keeps alive.
std::span<const std::byte> data_of(const StateDictValue& value, Dtype dtype,
                                   std::vector<std::vector<std::byte>>& converted) {
  if (const auto* integers = std::get_if<IntegerTensor>(&value))
    return std::as_bytes(std::span(integers->values));
  const std::span<const float> floats = std::get<Tensor>(value).data();
  if (dtype == Dtype::F32) return std::as_bytes(floats);
  converted.emplace_back(floats.size() * static_cast<std::size_t>(bit_size(dtype) / 8));
  from_floats(dtype, floats, converted.back());
  return converted.back();
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
    const auto* integers = std::get_if<IntegerTensor>(&value);
    const auto* floats = std::get_if<Tensor>(&value);
    require(integers != nullptr || floats->defined(), "{}: the tensor {} is undefined",
            path.string(), shown_name(name));
    const Shape& shape = integers != nullptr ? integers->shape : floats->shape();
    const Dtype dtype = integers != nullptr ? Dtype::I64 : options.float_dtype;
    require(
        integers == nullptr || static_cast<std::int64_t>(integers->values.size()) == shape.numel(),
        "{}: {} has {} values, its shape {} needs {}", path.string(), shown_name(name),
        integers != nullptr ? integers->values.size() : 0, shape, shape.numel());
    pickle.tensor(name, dtype, shape, std::to_string(storages.size()));
    storages.push_back(data_of(value, dtype, converted));
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
