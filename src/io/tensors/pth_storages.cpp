#include "io/tensors/pth_storages.h"

#include <zip.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <span>

#include "core/check.h"
#include "io/files/file.h"
#include "io/files/file_kind.h"
#include "io/files/names.h"

namespace rung::io {
namespace {

using Kind = PickledValue::Kind;

constexpr std::uint64_t kMaxPickle = std::uint64_t{64} << 20;
constexpr std::int64_t kMaxEntries = 1'000'000;
// Weights hardly shrink: what is compressed more than this is a bomb.
constexpr std::uint64_t kMaxRatio = 64, kSmall = 1 << 16;

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
      fail("{}: is truncated or damaged: {}", path_, reason);
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
    const zip_stat_t object = *find(pickle);
    has_checksums_ = object.crc != 0;
    if (const auto order = find(prefix_ + "byteorder")) {
      const std::vector<std::byte> bytes = contents(*order, 16);
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      require(text == "little", "{}: has the byte order {}, only little is read", path_,
              shown_name(text));
    }
    pickle_ = contents(object, kMaxPickle);
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
    constexpr zip_uint64_t kNeeded =
        ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_INDEX | ZIP_STAT_CRC;
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
    // Only who reads on to the end is told of a wrong checksum.
    if (has_checksums_) {
      std::byte end{};
      require(zip_fread(file.get(), &end, 1) == 0,
              "{}: is damaged: the checksum of an entry of {} bytes is wrong", path_, bytes.size());
    }
    return bytes;
  }

  std::string path_, prefix_;
  std::unique_ptr<zip_t, Closer> zip_;
  std::vector<std::byte> pickle_;
  bool has_checksums_ = true;  // torch.serialization.set_crc32_options(False) writes zeros
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
    constexpr std::string_view kMagicAsText = "119547037146038801333356";  // protocols 0 and 1
    require(root(magic).kind == Kind::text &&
                (magic.texts[root(magic).at] == kMagicAsText ||
                 magic.texts[root(magic).at] ==
                     std::string_view(reinterpret_cast<const char*>(kMagic.data()), kMagic.size())),
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
    locate(keys, head.size() - rest.size());
  }

  std::vector<std::byte> read(const std::string& key, std::uint64_t size) override {
    const auto found = positions_.find(key);
    require(found != positions_.end(), "{}: has no storage {}{}", file_.path().string(),
            shown_name(key),
            is_located_ ? ""
                        : ", or none that can be found: one before it is of "
                          "a kind that is not read");
    require(size <= file_.size(), "{}: ends too early", file_.path().string());
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    file_.read(found->second, bytes);
    return bytes;
  }

  Pickle object;

 private:
  /// Finds the storages, which stand one behind the other from byte `at` on. One of a kind that is
  /// not read (quantized, complex) has an unknown size: those behind it are not found.
  void locate(const Pickle& keys, std::uint64_t at) {
    const std::string name = file_.path().string();
    std::map<std::string, std::pair<Dtype, std::uint64_t>> storages;
    for (const PickledTensor& tensor : object.tensors)  // a storage stands before its tensors
      storages.try_emplace(tensor.storage, tensor.dtype, tensor.storage_count);
    for (const Pickle::Index index : keys.lists[keys.values[keys.root].at]) {
      require(keys.values[index].kind == Kind::text, "{}: a storage has no name", name);
      const std::string& key = keys.texts[keys.values[index].at];
      const auto found = storages.find(key);
      is_located_ = found != storages.end();
      if (!is_located_) return;
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

  InputFile file_;
  bool is_located_ = true;
  std::map<std::string, std::uint64_t> positions_;
};

}  // namespace

std::uint64_t element_size(Dtype dtype) { return static_cast<std::uint64_t>(bit_size(dtype)) / 8; }

PthContent open_pth(const std::filesystem::path& path) {
  std::array<char, 2> begin{};
  {
    const InputFile file(path);
    require_format(file, {FileFormat::pth}, "a PyTorch checkpoint");
    if (file.size() >= begin.size()) file.read(0, std::as_writable_bytes(std::span(begin)));
  }
  PthContent content;
  if (begin[0] == 'P' && begin[1] == 'K') {
    auto zip = std::make_unique<ZipStorages>(path);
    content.object = read_pickle(zip->pickle(), path.string());
    content.storages = std::move(zip);
  } else {
    require(begin[0] == '\x80' || begin[0] == 'L', "{}: is no PyTorch checkpoint", path.string());
    auto legacy = std::make_unique<LegacyStorages>(path);
    content.object = std::move(legacy->object);
    content.storages = std::move(legacy);
  }
  return content;
}

}  // namespace rung::io
