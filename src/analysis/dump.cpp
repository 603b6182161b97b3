#include "rung/analysis/dump.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "analysis/dump_folder.h"
#include "analysis/dump_index.h"
#include "analysis/network_tensors.h"
#include "core/check.h"
#include "io/files/file.h"
#include "io/tensors/dtype.h"
#include "io/tensors/npy_read.h"
#include "io/tensors/npy_write.h"
#include "io/tensors/safetensors_stream.h"
#include "rung/io/text_file.h"
#include "rung/quant/fake_quantize.h"

namespace rung::analysis {
namespace {

namespace fs = std::filesystem;
using io::Dtype;

/// Returns the smallest type of whole numbers that holds all codes.
Dtype dtype_of(const Grid& grid) {
  const auto fits = [&]<typename T>(T) {
    return grid.qmin >= std::numeric_limits<T>::min() && grid.qmax <= std::numeric_limits<T>::max();
  };
  if (fits(std::uint8_t{})) return Dtype::U8;
  if (fits(std::int8_t{})) return Dtype::I8;
  if (fits(std::uint16_t{})) return Dtype::U16;
  return fits(std::int16_t{}) ? Dtype::I16 : Dtype::I32;
}

std::vector<std::byte> code_bytes(const Tensor& numbers, const Encoding& encoding, Dtype dtype,
                                  const std::string& name) {
  const std::vector<std::int32_t> codes = quantize(numbers.data(), numbers.shape(), encoding);
  const std::vector<std::int64_t> wide(codes.begin(), codes.end());
  std::vector<std::byte> bytes(codes.size() * static_cast<std::size_t>(io::bit_size(dtype) / 8));
  require(io::from_integers(dtype, wide, bytes), "dump: {} has codes that {} does not hold", name,
          io::to_string(dtype));
  return bytes;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

struct Dump::Impl {
  /// One tensor on its way into a file.
  struct Stream {
    DumpedTensor entry;
    io::NpyWriter file;
  };

  Impl(Graph& graph, const fs::path& wanted, const DumpOptions& chosen)
      : options(chosen), run(graph), folder(wanted) {}

  /// Returns a name that no tensor before has, also where upper and lower case are the same.
  std::string file_name(const std::string& tensor) {
    const std::string safe = safe_file_name(tensor);
    for (int& count = counts[lower(safe)];;) {
      const std::string name = (++count == 1 ? safe : fmt::format("{}-{}", safe, count)) + ".npy";
      if (taken.insert(lower(name)).second) return name;
    }
  }

  Stream& stream_of(std::size_t index, const Tensor& numbers) {
    if (index < streams.size()) return streams[index];
    const NetworkTensor& tensor = run.tensors()[index];
    const bool codes = options.codes && tensor.encoding.has_value();
    const Dtype dtype = codes ? dtype_of(tensor.encoding->grid) : Dtype::F32;
    const std::string file = file_name(tensor.name);
    const auto dims = numbers.shape().dims();
    std::vector<std::int64_t> row(dims.begin(), dims.end());
    if (!tensor.fixed && !row.empty()) row.erase(row.begin());
    streams.push_back({{.name = tensor.name,
                        .type = tensor.type,
                        .file = file,
                        .dtype = dtype,
                        .shape = numbers.shape(),
                        .fixed = tensor.fixed,
                        .codes = codes,
                        .encoding = tensor.encoding},
                       io::NpyWriter(folder.path() / file, dtype, row)});
    return streams.back();
  }

  void add(std::size_t index) {
    const NetworkTensor& tensor = run.tensors()[index];
    if (tensor.fixed && images > 0) return;
    const Tensor numbers = run.numbers(tensor);
    Stream& stream = stream_of(index, numbers);
    const auto now = numbers.shape().dims(), then = stream.entry.shape.dims();
    require(now.size() == then.size() &&
                (now.empty() || std::ranges::equal(now.subspan(1), then.subspan(1))),
            "dump: {} is {} here and was {} in the batch before: it does not go on along its first "
            "axis; dump as many images as fit a batch",
            tensor.name, numbers.shape(), stream.entry.shape);
    const std::int64_t rows = tensor.fixed || now.empty() ? 1 : now[0];
    if (stream.entry.codes)
      stream.file.append(rows,
                         code_bytes(numbers, *tensor.encoding, stream.entry.dtype, tensor.name));
    else
      stream.file.append(rows, std::as_bytes(std::span(numbers.data())));
  }

  void finish_files() {
    for (Stream& each : streams) {
      const bool only_row = each.entry.fixed;
      each.file.finish(only_row);
      if (only_row) continue;
      const auto dims = each.entry.shape.dims();
      std::vector<std::int64_t> whole(dims.begin(), dims.end());
      if (whole.empty()) whole.push_back(0);
      whole[0] = each.file.rows();
      each.entry.shape = Shape(std::move(whole));
    }
  }

  /// Puts all files of arrays into one.
  void join_files() {
    std::vector<io::StreamedTensor> tensors;
    for (Stream& each : streams) {
      const fs::path path = each.file.path();
      tensors.push_back({each.entry.name, each.entry.dtype, each.entry.shape,
                         [path](const std::function<void(std::span<const std::byte>)>& write) {
                           const io::InputFile file(path);
                           std::vector<std::byte> piece(std::size_t{1} << 20);
                           for (std::uint64_t at = io::read_npy_header(file).begin;
                                at < file.size();) {
                             const auto size = static_cast<std::size_t>(
                                 std::min<std::uint64_t>(piece.size(), file.size() - at));
                             file.read(at, std::span(piece).first(size));
                             write(std::span(piece).first(size));
                             at += size;
                           }
                           fs::remove(path);
                         }});
      each.entry.file = kDumpSafetensors;
    }
    std::ranges::stable_sort(tensors, std::ranges::greater{}, [](const io::StreamedTensor& each) {
      return io::bit_size(each.dtype);
    });
    io::save_safetensors(folder.path() / kDumpSafetensors, tensors, {});
  }

  DumpOptions options;
  TensorRun run;
  DumpFolder folder;
  std::map<std::string, int> counts;  // by the name of a file without its end
  std::set<std::string> taken = {kDumpIndex, kDumpSafetensors};
  std::vector<Stream> streams;  // as run.tensors()
  std::int64_t images = 0;
};

Dump::Dump(Graph& graph, const fs::path& folder, const DumpOptions& options)
    : impl_(std::make_unique<Impl>(graph, folder, options)) {}
Dump::~Dump() = default;

std::int64_t Dump::bytes_per_image() const { return impl_->run.bytes_per_image(); }

void Dump::add(std::span<const Tensor> inputs) {
  require(!inputs.empty() && inputs[0].rank() > 0 && inputs[0].size(0) > 0,
          "dump: a batch has no images");
  impl_->run.run(inputs);
  for (std::size_t i = 0; i < impl_->run.tensors().size(); ++i) impl_->add(i);
  impl_->images += inputs[0].size(0);
}

std::int64_t Dump::finish() {
  require(impl_->images > 0, "dump: there was no image");
  impl_->finish_files();
  if (impl_->options.format == DumpOptions::Format::safetensors) impl_->join_files();
  DumpIndex index{.images = impl_->images, .tensors = {}};
  for (const Impl::Stream& each : impl_->streams) index.tensors.push_back(each.entry);
  io::write_text_file(impl_->folder.path() / kDumpIndex, to_json(index));
  impl_->folder.put_in_place();
  return std::ssize(index.tensors);
}

}  // namespace rung::analysis
