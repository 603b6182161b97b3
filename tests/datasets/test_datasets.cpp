#include <doctest/doctest.h>
#include <unistd.h>
#include <zlib.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/datasets.h"
#include "support/temporary_folder.h"

using namespace rung;
namespace fs = std::filesystem;

namespace {

/// A directory of its own with a tiny test split of three images.
class Directory {
 public:
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }
  void write_gz(const std::string& name, const std::string& bytes) const {
    const gzFile file = gzopen((path_ / name).c_str(), "wb");
    REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
            static_cast<int>(bytes.size()));
    gzclose(file);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void make_directory(const std::string& name) const { fs::create_directory(path_ / name); }
  std::shared_ptr<const nn::Dataset> load() const {
    return datasets::fashion_mnist(Split::test, {.dir = path_.string()});
  }
  /// Returns the message of the error that loading gives: one line.
  std::string error() const {
    try {
      load();
    } catch (const Error& error) {
      const std::string message = error.what();
      CHECK(message.find('\n') == std::string::npos);
      return message;
    }
    return "no error";
  }

 private:
  const TemporaryFolder folder_;
  const fs::path path_ = folder_.path();
};

const std::string kImages = "t10k-images-idx3-ubyte", kLabels = "t10k-labels-idx1-ubyte";

std::string big_endian(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string images(std::uint32_t count, std::uint32_t claimed) {
  std::string bytes = big_endian(0x803) + big_endian(claimed) + big_endian(28) + big_endian(28);
  for (std::uint32_t i = 0; i < count * 784; ++i) bytes += static_cast<char>(i % 251);
  return bytes;
}

std::string labels(const std::string& values) {
  return big_endian(0x801) + big_endian(static_cast<std::uint32_t>(values.size())) + values;
}

bool mentions(const std::string& message, const std::string& text) {
  INFO(message);
  const bool found = message.find(text) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_SUITE_BEGIN("datasets");

TEST_CASE("IDX files are read compressed and plain") {
  Directory plain, packed;
  plain.write(kImages, images(3, 3));
  plain.write(kLabels, labels(std::string("\x09\x00\x02", 3)));
  packed.write_gz(kImages + ".gz", images(3, 3));
  packed.write_gz(kLabels + ".gz", labels(std::string("\x09\x00\x02", 3)));
  for (const Directory* each : {&plain, &packed}) {
    const auto dataset = each->load();
    CHECK(dataset->size() == 3);
    CHECK(dataset->image_shape() == Shape{1, 28, 28});
    CHECK(dataset->num_classes() == 10);
    nn::Image image;
    CHECK(dataset->get(0, image) == 9);
    CHECK(image.pixels.size() == 784);
    CHECK(image.pixels[250] == 250.0f / 255.0f);
    CHECK(dataset->get(2, image) == 2);
    CHECK(image.pixels[0] == static_cast<float>(2 * 784 % 251) / 255.0f);
  }
}

TEST_CASE("a missing file is named together with the remedy") {
  const Directory empty;
  CHECK(mentions(empty.error(), kImages + ".gz: cannot open: No such file or directory"));
  CHECK(mentions(empty.error(), "apt-get install dataset-fashion-mnist"));
  CHECK(mentions(empty.error(), "--data DIR"));
  const Directory half;
  half.write(kImages, images(1, 1));
  CHECK(mentions(half.error(), kLabels + ".gz: cannot open"));
}

TEST_CASE("damaged IDX files are refused with the reason") {
  Directory directory;
  directory.write(kImages, images(3, 3));
  directory.write(kLabels, labels(std::string(3, '\x01')));
  REQUIRE(directory.load()->size() == 3);

  SUBCASE("wrong magic number") {
    directory.write(kImages, "\x89PNG" + images(3, 3));
    CHECK(mentions(directory.error(), "it starts with 89 50 4e 47, expected 00 00 08 03"));
  }
  SUBCASE("labels where images belong") {
    directory.write(kImages, labels(std::string(3, '\x01')));
    CHECK(mentions(directory.error(), "it starts with 00 00 08 01, expected 00 00 08 03"));
  }
  SUBCASE("a pointer to a file elsewhere") {
    directory.write(kImages, "version https://git-lfs.github.com/spec/v1\noid sha256:abc\n");
    CHECK(mentions(directory.error(), "(it is a git-lfs pointer"));
  }
  SUBCASE("empty file") {
    directory.write(kImages, "");
    CHECK(mentions(directory.error(), "not an IDX file"));
  }
  SUBCASE("end within the header") {
    directory.write(kImages, images(3, 3).substr(0, 14));
    CHECK(mentions(directory.error(), "truncated within the header"));
  }
  SUBCASE("end within the pixels") {
    directory.write(kImages, images(2, 3));
    CHECK(mentions(directory.error(),
                   "truncated: the header says [3, 28, 28], 2352 bytes, but only 1568 follow"));
  }
  SUBCASE("more than the header says") {
    directory.write(kImages, images(3, 3) + "x");
    CHECK(mentions(directory.error(), "longer than the [3, 28, 28], 2352 bytes"));
  }
  SUBCASE("a count of billions does not allocate billions") {
    directory.write(kImages, images(3, 0xFFFFFFFFu));
    CHECK(mentions(directory.error(), "but only 2352 follow"));
  }
  SUBCASE("dimensions whose product overflows") {
    directory.write(kImages, big_endian(0x803) + std::string(12, '\xFF'));
    CHECK(mentions(directory.error(), "the header claims [4294967295, 4294967295, 4294967295]"));
  }
  SUBCASE("no images") {
    directory.write(kImages, images(0, 0));
    CHECK(mentions(directory.error(), "dimension 0 of the header is 0"));
  }
  SUBCASE("other image size") {
    directory.write(kImages, big_endian(0x803) + big_endian(3) + big_endian(2) + big_endian(2) +
                                 std::string(12, 'x'));
    CHECK(mentions(directory.error(), "images must be 28x28, the header says 2x2"));
  }
  SUBCASE("label out of range") {
    directory.write(kLabels, labels(std::string("\x01\x0A\x01", 3)));
    CHECK(mentions(directory.error(), kLabels + ": label 10 of image 1 is outside of [0, 10)"));
  }
  SUBCASE("other number of labels") {
    directory.write(kLabels, labels(std::string(4, '\x01')));
    CHECK(mentions(directory.error(), "they do not belong together"));
  }
  SUBCASE("a directory instead of a file") {
    directory.make_directory(kImages + ".gz");
    CHECK(mentions(directory.error(), "is not a regular file"));
  }
}

TEST_CASE("damaged gzip files are refused with the reason") {
  Directory directory;
  directory.write_gz(kImages + ".gz", images(3, 3));
  directory.write(kLabels, labels(std::string(3, '\x01')));
  const std::string packed = directory.read(kImages + ".gz");
  REQUIRE(directory.load()->size() == 3);
  for (const std::size_t size : {packed.size() - 1, packed.size() - 8, packed.size() / 2}) {
    directory.write(kImages + ".gz", packed.substr(0, size));
    CHECK(mentions(directory.error(), "the compressed file is truncated"));
  }
  std::string flipped = packed;
  flipped[packed.size() - 6] = static_cast<char>(flipped[packed.size() - 6] ^ 1);  // checksum
  directory.write(kImages + ".gz", flipped);
  CHECK(mentions(directory.error(), "the file is damaged"));
}

TEST_CASE("the registry makes datasets by name") {
  CHECK(datasets::list().size() == 5);
  const datasets::DatasetInfo info = datasets::info("fashion-mnist");
  CHECK(info.classes == 10);
  CHECK(info.image_shape == Shape{1, 28, 28});
  CHECK_THROWS_WITH_AS(datasets::info("mnist"),
                       "unknown dataset 'mnist'; there are: fashion-mnist, cifar10, cifar100, "
                       "image-folder, npy",
                       Error);
  CHECK_THROWS_AS(datasets::make("mnist", Split::train), Error);
  CHECK_THROWS_AS(datasets::make("fashion-mnist", Split::train, "/nowhere"), Error);
  CHECK(to_string(Split::train) == "train");
  CHECK(to_string(Split::test) == "test");
}

TEST_CASE("Fashion-MNIST is the published one") {
  const auto train = datasets::make("fashion-mnist", Split::train);
  const auto test = datasets::make("fashion-mnist", Split::test);
  CHECK(train->size() == 60000);
  CHECK(test->size() == 10000);
  nn::Image image;
  std::vector<std::int64_t> train_labels, test_labels;
  for (std::int64_t i = 0; i < 10; ++i) {
    train_labels.push_back(train->get(i, image));
    test_labels.push_back(test->get(i, image));
  }
  CHECK(train_labels == std::vector<std::int64_t>{9, 0, 0, 3, 0, 2, 7, 2, 5, 5});
  CHECK(test_labels == std::vector<std::int64_t>{9, 2, 1, 1, 6, 1, 4, 6, 5, 7});
  double sum = 0.0, squares = 0.0;
  std::vector<std::int64_t> per_class(10);
  for (std::int64_t i = 0; i < train->size(); ++i) {
    ++per_class[static_cast<std::size_t>(train->get(i, image))];
    for (const float x : image.pixels) {
      sum += x;
      squares += static_cast<double>(x) * x;
    }
  }
  const double count = 60000.0 * 784.0, mean = sum / count;
  const datasets::DatasetInfo info = datasets::info("fashion-mnist");
  CHECK(std::abs(mean - info.mean[0]) < 5e-5);
  CHECK(std::abs(std::sqrt(squares / count - mean * mean) - info.std[0]) < 5e-5);
  for (const std::int64_t each : per_class) CHECK(each == 6000);
}

TEST_SUITE_END();
