#include <algorithm>
#include <map>
#include <system_error>
#include <utility>

#include "analysis/dump_index.h"
#include "analysis/network_tensors.h"
#include "core/check.h"
#include "io/files/file.h"
#include "io/files/limits.h"
#include "io/tensors/dtype.h"
#include "io/tensors/npy_read.h"
#include "rung/analysis/tensor_diff.h"
#include "rung/quant/fake_quantize.h"

namespace rung::analysis {
namespace {

namespace fs = std::filesystem;

class NetworkSource final : public TensorSource {
 public:
  explicit NetworkSource(Graph& graph) : run_(graph) {
    for (const NetworkTensor& each : run_.tensors())
      infos_.push_back({each.name, each.type, each.shape, each.fixed, each.encoding, each.value});
  }
  const std::vector<Info>& tensors() const override { return infos_; }
  bool is_ordered() const override { return true; }
  bool runs() const override { return true; }
  std::int64_t bytes_per_image() const override { return run_.bytes_per_image(); }
  void next(std::span<const Tensor> inputs) override { run_.run(inputs); }
  Tensor numbers(std::size_t index, const ConstTensor&) const override {
    return run_.numbers(run_.tensors()[index]);
  }
  Tensor before(std::size_t index) const override {
    const NetworkTensor& tensor = run_.tensors()[index];
    return tensor.before.empty() ? Tensor() : run_.before(tensor);
  }

 private:
  TensorRun run_;
  std::vector<Info> infos_;
};

/// An array in a file, row-major and little-endian.
struct StoredTensor {
  fs::path path;
  io::Dtype dtype = io::Dtype::F32;
  Shape shape = {};
  std::uint64_t begin = 0;  // in the file
  bool codes = false;

  /// Reads rows along the first axis; all of it if `rows` is negative.
  Tensor read(std::int64_t first, std::int64_t rows,
              const std::optional<Encoding>& encoding) const {
    const std::int64_t row = shape.rank() == 0 || shape[0] == 0 ? 0 : shape.numel() / shape[0];
    const Shape part = rows < 0 ? shape : shape.with(0, rows);
    const std::int64_t element = io::bit_size(dtype) / 8;
    std::vector<std::byte> bytes(static_cast<std::size_t>(part.numel() * element));
    io::InputFile(path).read(
        begin + static_cast<std::uint64_t>(rows < 0 ? 0 : first * row * element), bytes);
    if (!codes) {
      Tensor numbers(part);
      io::to_floats(dtype, bytes, numbers.data());
      return numbers;
    }
    std::vector<std::int64_t> wide(static_cast<std::size_t>(part.numel()));
    require(io::to_integers(dtype, bytes, wide), "{}: has codes beyond int64", path.string());
    const std::vector<std::int32_t> whole(wide.begin(), wide.end());
    return Tensor(part, dequantize(whole, part, *encoding));
  }
};

StoredTensor stored_npy(const fs::path& path) {
  const io::InputFile file(path);
  io::NpyHeader header = io::read_npy_header(file);
  require(header.dims.size() <= io::kMaxRank, "{}: has {} dimensions, at most {} are compared",
          path.string(), header.dims.size(), io::kMaxRank);
  return {path, header.dtype, Shape(std::move(header.dims)), header.begin};
}

std::map<std::string, StoredTensor> stored_safetensors(const fs::path& path) {
  const io::SafetensorsFile file(path);
  std::uint64_t length = 0;  // of the header, little-endian
  io::InputFile(path).read(0, std::as_writable_bytes(std::span(&length, 1)));
  std::map<std::string, StoredTensor> stored;
  for (const io::TensorInfo& each : file.tensors())
    if (io::converts_to_float(each.dtype))
      stored.emplace(each.name,
                     StoredTensor{path, each.dtype, each.shape, 8 + length + each.begin});
  return stored;
}

class FolderSource final : public TensorSource {
 public:
  explicit FolderSource(const fs::path& folder) : folder_(folder) {
    if (const std::optional<DumpIndex> index = read_dump_index(folder))
      add(*index);
    else
      add_files();
    require(!infos_.empty(), "{}: there are no tensors in the folder, *.npy or *.safetensors",
            folder.string());
  }
  const std::vector<Info>& tensors() const override { return infos_; }
  bool is_ordered() const override { return is_ordered_; }
  bool runs() const override { return false; }
  std::int64_t bytes_per_image() const override { return 0; }
  void next(std::span<const Tensor> inputs) override {
    first_ += images_;
    images_ = inputs.empty() ? 0 : inputs[0].size(0);
  }
  Tensor before(std::size_t) const override { return {}; }

  Tensor numbers(std::size_t index, const ConstTensor& like) const override {
    const StoredTensor& stored = stored_[index];
    const Info& info = infos_[index];
    const bool has_rows = images_ > 0 && like.defined() && like.rank() > 0 &&
                          stored.shape.rank() > 0 && !info.fixed &&
                          (first_ > 0 || like.shape() != stored.shape);
    // Other tools do not say what is there once: what is as large as it should be is whole.
    if (!has_rows || like.size(0) % images_ != 0) return stored.read(0, -1, info.encoding);
    const std::int64_t per_image = like.size(0) / images_;
    const std::int64_t needed = (first_ + images_) * per_image;
    require(stored.shape[0] >= needed,
            "{}: {} has {} rows, but {} are needed: compare as many images as were dumped",
            folder_.string(), info.name, stored.shape[0], needed);
    return stored.read(first_ * per_image, like.size(0), info.encoding);
  }

 private:
  void add(const DumpIndex& index) {
    is_ordered_ = true;
    std::map<std::string, std::map<std::string, StoredTensor>> opened;
    for (const DumpedTensor& each : index.tensors) {
      const fs::path path = folder_ / each.file;
      StoredTensor stored;
      if (each.file.ends_with(".safetensors")) {
        if (!opened.contains(each.file)) opened[each.file] = stored_safetensors(path);
        const auto found = opened[each.file].find(each.name);
        require(found != opened[each.file].end(), "{}: has no tensor {}", path.string(), each.name);
        stored = found->second;
      } else {
        stored = stored_npy(path);
      }
      require(stored.shape == each.shape && stored.dtype == each.dtype,
              "{}: {} is {} {}, but index.json says {} {}", path.string(), each.name,
              io::to_string(stored.dtype), stored.shape, io::to_string(each.dtype), each.shape);
      stored.codes = each.codes;
      infos_.push_back({each.name, each.type, each.shape, each.fixed, each.encoding});
      stored_.push_back(std::move(stored));
    }
  }

  /// Takes the files of another tool, in the order of their names.
  void add_files() {
    std::vector<fs::path> paths;
    std::error_code error;
    for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
         entry.increment(error))
      paths.push_back(entry->path());
    require(!error, "{}: cannot read the folder: {}", folder_.string(), error.message());
    std::ranges::sort(paths);
    for (const fs::path& path : paths) {
      if (path.extension() == ".npy") {
        stored_.push_back(stored_npy(path));
        infos_.push_back({.name = path.stem().string(), .shape = stored_.back().shape});
      } else if (path.extension() == ".safetensors") {
        for (auto& [name, stored] : stored_safetensors(path)) {
          infos_.push_back({.name = name, .shape = stored.shape});
          stored_.push_back(std::move(stored));
        }
      }
    }
  }

  fs::path folder_;
  std::vector<Info> infos_;
  std::vector<StoredTensor> stored_;
  bool is_ordered_ = false;
  std::int64_t first_ = 0, images_ = 0;  // that numbers() reads
};

}  // namespace

std::unique_ptr<TensorSource> tensors_of(Graph& graph) {
  return std::make_unique<NetworkSource>(graph);
}

std::unique_ptr<TensorSource> tensors_in(const fs::path& folder) {
  return std::make_unique<FolderSource>(folder);
}

}  // namespace rung::analysis
