#include <zip.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "core/format.h"
#include "io/dtype.h"
#include "io/file.h"
#include "io/names.h"
#include "io/pickle.h"
#include "rung/core/closest.h"
#include "rung/io/pth.h"

namespace rung::io {
namespace {

using Kind = PickledValue::Kind;

constexpr std::uint64_t kMaxPickle = std::uint64_t{64} << 20;
constexpr std::int64_t kMaxEntries = 1'000'000;
// Weights hardly shrink: what is compressed more than this is a bomb.
constexpr std::uint64_t kMaxRatio = 64, kSmall = 1 << 16;
constexpr std::uint64_t kMaxElements = std::uint64_t{1}
                                       << 48;  // of a storage: sizes cannot overflow
constexpr std::size_t kMaxDepth = 4, kMaxRank = 8;

std::uint64_t element_size(Dtype dtype) { return static_cast<std::uint64_t>(bit_size(dtype)) / 8; }

/// Where the bytes of storages come from.
class Storages {
 public:
  virtual ~Storages() = default;
  /// Returns all bytes of a storage, which must have `size`.
  virtual std::vector<std::byte> read(const std::string& key, std::uint64_t size) = 0;
};

/// The zip format.
class ZipStorages final : public Storages {
 public:
  explicit ZipStorages(const std::filesystem::path& path) : path_(path.string()) {
    int code = 0;
    zip_.reset(zip_open(path_.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code));
    if (!zip_) {
      zip_error_t error;
      zip_error_init_with_code(&error, code);
      const std::string reason = zip_error_strerror(&error);
      zip_error_fini(&error);
      fail("{}: is no whole zip file: {}", path_, reason);
    }
    const std::int64_t entries = zip_get_num_entries(zip_.get(), 0);
    require(entries <= kMaxEntries, "{}: has {} entries, more than {}", path_, entries,
            kMaxEntries);
    std::string pickle;
    for (std::int64_t i = 0; i < entries; ++i) {
      const char* name = zip_get_name(zip_.get(), static_cast<zip_uint64_t>(i), 0);
      if (name == nullptr) continue;
      const std::string_view entry = name;
      require(!entry.ends_with("constants.pkl") && entry.find("/code/") == std::string_view::npos,
              "{}: is a TorchScript archive, a program: save model.state_dict() with torch.save",
              path_);
      if ((entry == "data.pkl" || entry.ends_with("/data.pkl")) && pickle.empty()) pickle = entry;
    }
    require(!pickle.empty(), "{}: is no PyTorch checkpoint: it has no data.pkl", path_);
    prefix_ = pickle.substr(0, pickle.size() - std::strlen("data.pkl"));
    if (const auto order = find(prefix_ + "byteorder")) {
      const std::vector<std::byte> bytes = contents(*order, 16);
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      require(text == "little", "{}: has the byte order {}, only little is read", path_,
              shown_name(text));
    }
    pickle_ = contents(*find(pickle), kMaxPickle);
  }

  const std::vector<std::byte>& pickle() const { return pickle_; }

  std::vector<std::byte> read(const std::string& key, std::uint64_t size) override {
    const std::string name = prefix_ + "data/" + key;
    const auto entry = find(name);
    require(entry.has_value(), "{}: has no storage {}", path_, shown_name(name));
    require(entry->size == size, "{}: storage {} has {} bytes, its tensors need {}", path_,
            shown_name(name), entry->size, size);
    return contents(*entry, size);
  }

 private:
  struct Closer {
    void operator()(zip_t* zip) const { zip_discard(zip); }
    void operator()(zip_file_t* file) const { zip_fclose(file); }
  };

  std::optional<zip_stat_t> find(const std::string& name) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat(zip_.get(), name.c_str(), 0, &stat) != 0) return std::nullopt;
    constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_INDEX;
    require((stat.valid & kNeeded) == kNeeded, "{}: does not say how large {} is", path_,
            shown_name(name));
    return stat;
  }

  std::vector<std::byte> contents(const zip_stat_t& entry, std::uint64_t most) {
    require(entry.size <= most, "{}: an entry has {} bytes, more than {}", path_, entry.size, most);
    require(entry.size <= kSmall || entry.size / kMaxRatio <= entry.comp_size,
            "{}: an entry is compressed more than {} times", path_, kMaxRatio);
    const std::unique_ptr<zip_file_t, Closer> file(zip_fopen_index(zip_.get(), entry.index, 0));
    require(file != nullptr, "{}: {}", path_, zip_strerror(zip_.get()));
    std::vector<std::byte> bytes(entry.size);
    const std::int64_t got = zip_fread(file.get(), bytes.data(), bytes.size());
    require(got == static_cast<std::int64_t>(bytes.size()),
            "{}: an entry of {} bytes ends too early or is damaged", path_, bytes.size());
    return bytes;
  }

  std::string path_, prefix_;
  std::unique_ptr<zip_t, Closer> zip_;
  std::vector<std::byte> pickle_;
};

/// The format before torch 1.6: five pickles (a magic number, a version, facts about the machine,
/// the object, the keys of the storages), then for each key a count and the elements.
class LegacyStorages final : public Storages {
 public:
  explicit LegacyStorages(const std::filesystem::path& path) : file_(path) {
    std::vector<std::byte> head(static_cast<std::size_t>(std::min(file_.size(), kMaxPickle)));
    file_.read(0, head);
    const std::string name = path.string();
    std::span<const std::byte> rest(head);
    const auto next = [&] {
      Pickle pickle = read_pickle(rest, name);
      rest = rest.subspan(pickle.length);
      return pickle;
    };
    const auto root = [](const Pickle& pickle) { return pickle.values[pickle.root]; };
    constexpr std::array<unsigned char, 10> kMagic = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                                      0x20, 0x6a, 0xa8, 0x50, 0x19};
    const Pickle magic = next();
    require(root(magic).kind == Kind::text &&
                magic.texts[root(magic).at] ==
                    std::string_view(reinterpret_cast<const char*>(kMagic.data()), kMagic.size()),
            "{}: is no PyTorch checkpoint", name);
    const Pickle version = next();
    require(root(version).kind == Kind::integer && root(version).integer == 1001,
            "{}: is of another version of PyTorch's old format", name);
    const Pickle machine = next();
    for (const auto& dict : machine.dicts)
      for (const auto& [key, value] : dict)
        if (machine.values[key].kind == Kind::text &&
            machine.texts[machine.values[key].at] == "little_endian")
          require(machine.values[value].integer != 0, "{}: is big-endian", name);
    object = next();
    const Pickle keys = next();
    require(root(keys).kind == Kind::list, "{}: has no list of storages", name);
    std::map<std::string, std::pair<Dtype, std::uint64_t>> storages;
    for (const PickledTensor& tensor : object.tensors)
      storages[tensor.storage] = {tensor.dtype, tensor.storage_count};
    std::uint64_t at = head.size() - rest.size();
    for (const Pickle::Index index : keys.lists[root(keys).at]) {
      require(keys.values[index].kind == Kind::text, "{}: a storage has no name", name);
      const std::string& key = keys.texts[keys.values[index].at];
      const auto found = storages.find(key);
      require(found != storages.end(), "{}: storage {} belongs to no tensor", name,
              shown_name(key));
      const auto [dtype, count] = found->second;
      std::uint64_t stored = 0;
      file_.read(at, std::as_writable_bytes(std::span(&stored, 1)));
      at += sizeof stored;
      require(stored == count && count <= (file_.size() - at) / element_size(dtype),
              "{}: storage {} has {} elements, {} are needed", name, shown_name(key), stored,
              count);
      positions_[key] = at;
      at += count * element_size(dtype);
    }
  }

  std::vector<std::byte> read(const std::string& key, std::uint64_t size) override {
    const auto found = positions_.find(key);
    require(found != positions_.end(), "{}: has no storage {}", file_.path().string(),
            shown_name(key));
    require(size <= file_.size(), "{}: ends too early", file_.path().string());
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    file_.read(found->second, bytes);
    return bytes;
  }

  Pickle object;

 private:
  InputFile file_;
  std::map<std::string, std::uint64_t> positions_;
};

bool is_zip(const std::filesystem::path& path) {
  const InputFile file(path);
  std::array<std::uint8_t, 2> magic{};
  if (file.size() >= magic.size()) file.read(0, std::as_writable_bytes(std::span(magic)));
  const bool zip = magic[0] == 'P' && magic[1] == 'K';
  require(zip || magic[0] == 0x80, "{}: is no PyTorch checkpoint", path.string());
  return zip;
}

/// Returns the tensors of a dict with text keys, or of the dict that it has as "state_dict" or
/// "model". A dict may hold itself, and many times: each is looked into once, if not in `seen`.
std::vector<std::pair<std::string, PickledTensor>> tensors_of(const Pickle& pickle,
                                                              Pickle::Index index,
                                                              std::set<std::uint32_t>& seen,
                                                              std::size_t depth = 0) {
  std::vector<std::pair<std::string, PickledTensor>> tensors;
  const PickledValue& value = pickle.values[index];
  if (value.kind != Kind::dict || depth > kMaxDepth || !seen.insert(value.at).second)
    return tensors;
  const auto& entries = pickle.dicts[value.at];
  for (const auto& [key, entry] : entries)
    if (pickle.values[key].kind == Kind::text && pickle.values[entry].kind == Kind::tensor)
      tensors.emplace_back(pickle.texts[pickle.values[key].at],
                           pickle.tensors[pickle.values[entry].at]);
  if (!tensors.empty()) return tensors;
  for (const std::string_view name : {"state_dict", "model"})
    for (const auto& [key, entry] : entries)
      if (pickle.values[key].kind == Kind::text && pickle.texts[pickle.values[key].at] == name)
        if (tensors = tensors_of(pickle, entry, seen, depth + 1); !tensors.empty()) return tensors;
  return tensors;
}

std::vector<std::pair<std::string, PickledTensor>> tensors_of(const Pickle& pickle) {
  std::set<std::uint32_t> seen;
  return tensors_of(pickle, pickle.root, seen);
}

/// Returns the shape after checking that the tensor lies within its storage. A tensor with more
/// elements than its storage (expanded) is refused: it would need more memory than the file has.
Shape checked_shape(const PickledTensor& tensor, const std::string& where) {
  require(tensor.sizes.size() == tensor.strides.size(), "{} has {} sizes and {} strides", where,
          tensor.sizes.size(), tensor.strides.size());
  require(tensor.storage_count <= kMaxElements, "{} has a storage of {} elements", where,
          tensor.storage_count);
  require(tensor.sizes.size() <= kMaxRank, "{} has {} dimensions, more than {}", where,
          tensor.sizes.size(), kMaxRank);
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
    fits = size <= limit / count && (size == 1 || stride <= (limit - last) / (size - 1));
    if (!fits) break;
    count *= size;
    last += size == 1 ? 0 : (size - 1) * stride;
  }
  require(fits && (empty || last < limit), "{} does not lie within its storage of {} elements",
          where, limit);
  std::vector<std::int64_t> extents;
  for (const std::uint64_t size : tensor.sizes) extents.push_back(static_cast<std::int64_t>(size));
  return Shape(extents);
}

}  // namespace

struct PthFile::Impl {
  std::filesystem::path path;
  std::unique_ptr<Storages> storages;
  std::vector<PthTensor> tensors;
  std::vector<PickledTensor> views;  // of the same
  std::map<std::string, std::size_t, std::less<>> index;
  // The storage that was read last: often many tensors share one, whose size they agree on.
  std::string key;
  std::vector<std::byte> bytes;

  void add(std::vector<std::pair<std::string, PickledTensor>> found) {
    constexpr std::string_view kPrefix = "module.";
    const bool prefixed = std::ranges::all_of(
        found, [&](const auto& entry) { return entry.first.starts_with(kPrefix); });
    std::map<std::string_view, std::pair<Dtype, std::uint64_t>> sizes;  // of the storages
    for (const auto& [name, view] : found) {
      const std::pair size{view.dtype, view.storage_count};
      require(sizes.emplace(view.storage, size).first->second == size,
              "{}: tensor {} says another type or size of the storage {} than the tensors before",
              path.string(), shown_name(name), shown_name(view.storage));
    }
    for (auto& [name, view] : found) {
      if (prefixed) name.erase(0, kPrefix.size());
      const std::string where = fmt::format("{}: tensor {}", path.string(), shown_name(name));
      require(index.emplace(name, tensors.size()).second, "{} is there twice", where);
      tensors.push_back({name, view.dtype, checked_shape(view, where)});
      views.push_back(std::move(view));
    }
  }
};

PthFile::PthFile(const std::filesystem::path& path) : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  std::vector<std::pair<std::string, PickledTensor>> found;
  if (is_zip(path)) {
    auto zip = std::make_unique<ZipStorages>(path);
    const Pickle pickle = read_pickle(zip->pickle(), path.string());
    found = tensors_of(pickle);
    impl_->storages = std::move(zip);
  } else {
    auto legacy = std::make_unique<LegacyStorages>(path);
    found = tensors_of(legacy->object);
    impl_->storages = std::move(legacy);
  }
  require(!found.empty(), "{}: holds no dict of tensors, as model.state_dict() is", path.string());
  impl_->add(std::move(found));
}

PthFile::~PthFile() = default;
PthFile::PthFile(PthFile&&) noexcept = default;
PthFile& PthFile::operator=(PthFile&&) noexcept = default;

const std::filesystem::path& PthFile::path() const { return impl_->path; }
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

Tensor PthFile::tensor(std::string_view name) const {
  const PthTensor& wanted = info(name);
  const PickledTensor& view = impl_->views[impl_->index.find(name)->second];
  const std::uint64_t element = element_size(view.dtype);
  if (impl_->key != view.storage || impl_->bytes.empty()) {
    impl_->bytes = impl_->storages->read(view.storage, view.storage_count * element);
    impl_->key = view.storage;
  }
  Tensor result(wanted.shape);
  const std::span<float> out = result.data();
  // Rows along the last dimension; runs of neighbours are converted at once.
  const std::size_t rank = view.sizes.size();
  const std::uint64_t row = rank == 0 ? 1 : view.sizes[rank - 1];
  const std::uint64_t step = rank == 0 ? 1 : view.strides[rank - 1];
  std::vector<std::uint64_t> at(rank, 0);
  for (std::size_t done = 0; done < out.size(); done += row) {
    std::uint64_t first = view.offset;
    for (std::size_t i = 0; i + 1 < rank; ++i) first += at[i] * view.strides[i];
    const std::span<const std::byte> bytes(impl_->bytes);
    if (step == 1) {
      to_floats(view.dtype, bytes.subspan(first * element, row * element), out.subspan(done, row));
    } else {
      for (std::uint64_t j = 0; j < row; ++j)
        to_floats(view.dtype, bytes.subspan((first + j * step) * element, element),
                  out.subspan(done + j, 1));
    }
    for (std::size_t i = rank - (rank > 0 ? 1 : 0); i-- > 0;) {
      if (++at[i] < view.sizes[i]) break;
      at[i] = 0;
    }
  }
  return result;
}

}  // namespace rung::io
