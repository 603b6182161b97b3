#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "io/files/file.h"
#include "io/files/file_kind.h"
#include "rung/datasets.h"

namespace rung::datasets {
namespace {

constexpr std::int64_t kSide = 32;
constexpr std::size_t kPixels = 3 * kSide * kSide;

/// How a record of a binary file begins: CIFAR-100 has a coarse label before the fine one.
struct Layout {
  std::size_t labels = 1;
  std::int64_t classes = 10;
  std::string_view archive;
};

struct Images {
  std::vector<std::uint8_t> pixels, labels;
};

void append(Images& images, const std::filesystem::path& path, const Layout& layout) {
  std::error_code error;
  require(std::filesystem::exists(path, error),
          "{}: there is no such file; name the folder of {} (--data DIR)", path.string(),
          layout.archive);
  const io::InputFile file(path);
  const std::size_t record = layout.labels + kPixels;
  if (file.size() % record != 0) io::require_format(file, {}, "images of CIFAR");
  require(file.size() > 0 && file.size() % record == 0,
          "{}: is not a whole number of records of {} bytes: {} bytes; get it again", path.string(),
          record, file.size());
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(file.size()));
  file.read(0, std::as_writable_bytes(std::span(bytes)));
  for (std::size_t begin = 0; begin < bytes.size(); begin += record) {
    const std::uint8_t label = bytes[begin + layout.labels - 1];
    require(label < layout.classes, "{}: label {} of image {} is outside of [0, {})", path.string(),
            label, begin / record, layout.classes);
    images.labels.push_back(label);
    const auto pixels = bytes.begin() + static_cast<std::ptrdiff_t>(begin + layout.labels);
    images.pixels.insert(images.pixels.end(), pixels, pixels + kPixels);
  }
}

std::shared_ptr<const nn::Dataset> read(const std::string& dir, const Layout& layout,
                                        const std::vector<std::string>& files) {
  require(!dir.empty(), "CIFAR has no usual place: name the folder of {} (--data DIR)",
          layout.archive);
  Images images;
  for (const std::string& file : files) append(images, std::filesystem::path(dir) / file, layout);
  return std::make_shared<nn::InMemoryDataset>(Shape{3, kSide, kSide}, layout.classes,
                                               std::move(images.pixels), std::move(images.labels));
}

}  // namespace

std::shared_ptr<const nn::Dataset> cifar10(Split split, const std::string& dir) {
  const Layout layout{1, 10, "cifar-10-binary.tar.gz"};
  if (split == Split::test) return read(dir, layout, {"test_batch.bin"});
  return read(dir, layout,
              {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
               "data_batch_5.bin"});
}

std::shared_ptr<const nn::Dataset> cifar100(Split split, const std::string& dir) {
  return read(dir, {2, 100, "cifar-100-binary.tar.gz"},
              {split == Split::test ? "test.bin" : "train.bin"});
}

}  // namespace rung::datasets
