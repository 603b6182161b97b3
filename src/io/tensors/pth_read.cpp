#include <algorithm>
#include <map>
#include <utility>

#include "core/check.h"
#include "io/files/names.h"
#include "io/tensors/dtype.h"
#include "io/tensors/overflow.h"
#include "io/tensors/pth_state_dict.h"
#include "io/tensors/pth_storages.h"
#include "rung/core/closest.h"
#include "rung/io/pth.h"

namespace rung::io {
namespace {

constexpr std::uint64_t kMaxElements = std::uint64_t{1}
                                       << 48;  // of a storage: sizes cannot overflow
constexpr std::size_t kMaxPthRank = 8;
// Tensors that repeat their storage (expanded, stride 0) need more memory than the file has.
constexpr std::uint64_t kMaxExpanded = std::uint64_t{1} << 28;

/// Returns the shape after checking that the tensor lies within its storage. What it has more
/// elements than the storage is taken from `expandable`.
Shape checked_shape(const PickledTensor& tensor, const std::string& where,
                    std::uint64_t& expandable) {
  require(tensor.sizes.size() == tensor.strides.size(), "{} has {} sizes and {} strides", where,
          tensor.sizes.size(), tensor.strides.size());
  require(tensor.storage_count <= kMaxElements, "{} has a storage of {} elements", where,
          tensor.storage_count);
  require(tensor.sizes.size() <= kMaxPthRank, "{} has {} dimensions, more than {}", where,
          tensor.sizes.size(), kMaxPthRank);
  const bool empty = std::ranges::find(tensor.sizes, 0u) != tensor.sizes.end();
  const std::uint64_t limit = tensor.storage_count;
  std::uint64_t count = empty ? 0 : 1, last = tensor.offset;
  bool fits = tensor.offset <= limit;
  for (std::size_t i = 0; i < tensor.sizes.size() && fits; ++i) {
    const std::uint64_t size = tensor.sizes[i], stride = tensor.strides[i];
    if (empty) {
      fits = size <= std::uint64_t{1} << 40;
      continue;
    }
    require(size <= (limit + expandable) / count,
            "{} repeats its storage of {} elements to more than {} elements", where, limit,
            kMaxExpanded);
    fits = size == 1 || stride <= (limit - last) / (size - 1);
    count *= size;
    if (!fits) break;
    last += size == 1 ? 0 : (size - 1) * stride;
  }
  require(fits && (empty || last < limit), "{} does not lie within its storage of {} elements",
          where, limit);
  expandable -= count > limit ? count - limit : 0;
  std::vector<std::int64_t> extents;
  for (const std::uint64_t size : tensor.sizes) extents.push_back(static_cast<std::int64_t>(size));
  return Shape(extents);
}

}  // namespace

struct PthFile::Impl {
  std::filesystem::path path;
  std::unique_ptr<Storages> storages;
  std::vector<PthTensor> tensors;
  std::vector<std::string> other_dicts;
  std::vector<PickledTensor> views;  // of the same
  std::map<std::string, std::size_t, std::less<>> index;
  // The storage that was read last: often many tensors share one, whose size they agree on.
  std::string key;
  std::vector<std::byte> bytes;

  /// Calls `consume(bytes, first)` with neighbouring elements, in row-major order.
  template <typename Consume>
  void stream(const PickledTensor& view, const Shape& shape, const Consume& consume);

  void add(NamedViews found) {
    std::map<std::string_view, std::pair<Dtype, std::uint64_t>> sizes;  // of the storages
    for (const auto& [name, view] : found) {
      const std::pair size{view.dtype, view.storage_count};
      require(sizes.emplace(view.storage, size).first->second == size,
              "{}: tensor {} says another type or size of the storage {} than the tensors before",
              path.string(), shown_name(name), shown_name(view.storage));
    }
    std::uint64_t expandable = kMaxExpanded;
    for (auto& [name, view] : found) {
      const std::string where = fmt::format("{}: tensor {}", path.string(), shown_name(name));
      require(index.emplace(name, tensors.size()).second, "{} is there twice", where);
      tensors.push_back({name, view.dtype, checked_shape(view, where, expandable)});
      views.push_back(std::move(view));
    }
  }
};

PthFile::PthFile(const std::filesystem::path& path) : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  PthContent content = open_pth(path);
  impl_->storages = std::move(content.storages);
  FoundStateDict found = find_state_dict(content.object, path.string());
  impl_->other_dicts = std::move(found.others);
  impl_->add(std::move(found.tensors));
}

PthFile::~PthFile() = default;
PthFile::PthFile(PthFile&&) noexcept = default;
PthFile& PthFile::operator=(PthFile&&) noexcept = default;

const std::filesystem::path& PthFile::path() const { return impl_->path; }
const std::vector<std::string>& PthFile::other_dicts() const { return impl_->other_dicts; }
const std::vector<PthTensor>& PthFile::tensors() const { return impl_->tensors; }
bool PthFile::contains(std::string_view name) const { return impl_->index.contains(name); }

const PthTensor& PthFile::info(std::string_view name) const {
  const auto found = impl_->index.find(name);
  if (found != impl_->index.end()) return impl_->tensors[found->second];
  std::vector<std::string> names;
  for (const PthTensor& tensor : impl_->tensors) names.push_back(tensor.name);
  fail("{}: no tensor is named {}; closest: {}", impl_->path.string(), shown_name(name),
       closest_names(name, names));
}

template <typename Consume>
void PthFile::Impl::stream(const PickledTensor& view, const Shape& shape, const Consume& consume) {
  const std::uint64_t element = element_size(view.dtype);
  if (key != view.storage || bytes.empty()) {
    bytes = storages->read(view.storage, view.storage_count * element);
    key = view.storage;
  }
  // Rows along the last dimension; runs of neighbours are handed over at once.
  const std::size_t rank = view.sizes.size();
  const std::uint64_t row = rank == 0 ? 1 : view.sizes[rank - 1];
  const std::uint64_t step = rank == 0 ? 1 : view.strides[rank - 1];
  const auto count = static_cast<std::uint64_t>(shape.numel());
  const std::span<const std::byte> all(bytes);
  std::vector<std::uint64_t> at(rank, 0);
  for (std::uint64_t done = 0; done < count; done += row) {
    std::uint64_t first = view.offset;
    for (std::size_t i = 0; i + 1 < rank; ++i) first += at[i] * view.strides[i];
    if (step == 1)
      consume(all.subspan(first * element, row * element), done);
    else
      for (std::uint64_t j = 0; j < row; ++j)
        consume(all.subspan((first + j * step) * element, element), done + j);
    for (std::size_t i = rank - (rank > 0 ? 1 : 0); i-- > 0;) {
      if (++at[i] < view.sizes[i]) break;
      at[i] = 0;
    }
  }
}

Tensor PthFile::tensor(std::string_view name, bool saturate) const {
  const PthTensor& wanted = info(name);
  const PickledTensor& view = impl_->views[impl_->index.find(name)->second];
  require(converts_to_float(view.dtype), "{}: {} has dtype {}, which is not converted to float32",
          impl_->path.string(), shown_name(name), to_string(view.dtype));
  Tensor result(wanted.shape);
  const std::uint64_t element = element_size(view.dtype);
  const std::string path = impl_->path.string();
  const Conversion conversion{.path = path, .name = name, .saturate = saturate};
  impl_->stream(view, wanted.shape, [&](std::span<const std::byte> run, std::uint64_t first) {
    to_finite_floats(view.dtype, run, result.data().subspan(first, run.size() / element), first,
                     conversion);
  });
  return result;
}

std::vector<std::byte> PthFile::bytes(std::string_view name) const {
  const PthTensor& wanted = info(name);
  const PickledTensor& view = impl_->views[impl_->index.find(name)->second];
  const std::uint64_t element = element_size(view.dtype);
  std::vector<std::byte> result(static_cast<std::size_t>(wanted.shape.numel()) * element);
  impl_->stream(view, wanted.shape, [&](std::span<const std::byte> run, std::uint64_t first) {
    std::ranges::copy(run, result.begin() + static_cast<std::ptrdiff_t>(first * element));
  });
  return result;
}

}  // namespace rung::io
