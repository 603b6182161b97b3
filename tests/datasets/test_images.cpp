// Image files and folders of them, against Pillow and torchvision.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "datasets/image_file.h"
#include "rung/core/error.h"
#include "rung/datasets.h"
#include "support/images.h"
#include "support/io_helpers.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

using namespace rung;
namespace fs = std::filesystem;

namespace {

std::string fixture(const std::string& name) { return images::path(name); }

std::string read_error(const std::string& path) {
  return message_of([&] { datasets::read_image(path); });
}

std::string name_of(const std::string& path) { return fs::path(path).filename().string(); }

/// A folder of two classes, with files in sub-folders, to be changed.
class SomeImages : public TemporaryFolder {
 public:
  SomeImages() {
    for (const char* name : {"b/x/z/2.png", "b/x-1/3.PNG", "b/1.png", "a/9.png", "a/10.png"}) {
      fs::create_directories(fs::path(path(name)).parent_path());
      fs::copy_file(fixture("grey.png"), path(name));
    }
    write("b/notes.txt", "no image");
    write("README.md", "no class");
  }
};

std::vector<float> pixels_of(nn::DataLoader& loader) {
  std::vector<float> all;
  for (const nn::Batch& batch : loader)
    all.insert(all.end(), batch.images.data().begin(), batch.images.data().end());
  return all;
}

}  // namespace

TEST_SUITE_BEGIN("datasets images");

TEST_CASE("PNG and BMP files are decoded to what Pillow gives") {
  for (const char* name :
       {"rgb.png", "rgba.png", "palette.png", "palette_transparent.png", "grey.png", "bilevel.png",
        "grey_alpha.png", "grey16.png", "rgb16.png", "rgb.bmp"}) {
    INFO(std::string(name));
    CHECK(images::difference(datasets::read_image(fixture(name)), images::expected(name)).largest ==
          0.0);
  }
}

TEST_CASE("JPEG files are decoded to what Pillow gives") {
  for (const char* name : {"baseline.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"}) {
    INFO(std::string(name));
    CHECK(images::difference(datasets::read_image(fixture(name)), images::expected(name)).largest ==
          0.0);
  }
}

TEST_CASE("every kind of JPEG and PNG file is decoded to what Pillow gives") {
  int files = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(fixture("kinds"))) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".jpg") && !name.ends_with(".png")) continue;
    INFO(name);
    CHECK(images::difference(datasets::read_image(entry.path()), images::expected("kinds/" + name))
              .largest == 0.0);
    ++files;
  }
  CHECK(files == 45);
}

TEST_CASE("damaged image files give an error that names them") {
  const TemporaryFolder folder;
  for (const char* name : {"baseline.jpg", "progressive.jpg", "rgb.png"}) {
    const std::string bytes = images::bytes(name);
    const std::size_t end = std::string_view(name) == "rgb.png" ? 40 : 1;  // the pixels end before
    for (const std::size_t size : {bytes.size() - end, bytes.size() / 2, std::size_t{40}}) {
      const std::string path = folder.write(name, bytes.substr(0, size));
      CHECK(read_error(path) == path + ": the image is damaged (truncated)");
    }
  }
  const std::string whole = images::bytes("rgb.png");
  const auto flipped = [&](std::size_t position) {
    std::string bytes = whole;
    bytes[position] = static_cast<char>(bytes[position] ^ 1);
    return folder.write("flipped.png", bytes);
  };
  CHECK(read_error(flipped(whole.size() / 2))
            .ends_with(".png: the image is damaged (the compressed pixels are wrong)"));
  constexpr std::size_t kEnd = 12;
  CHECK(read_error(flipped(whole.size() - kEnd - 1))
            .ends_with(".png: the image is damaged (IDAT: CRC error)"));
  CHECK(read_error(folder.write("empty.png", ""))
            .ends_with("empty.png: is an empty file; expected "
                       "a JPEG, PNG or BMP image"));
  CHECK(read_error(folder.write("text.png", "hello"))
            .ends_with("is a text file; expected a JPEG, PNG or BMP image"));
  CHECK(read_error(folder.write("lfs.png", "version https://git-lfs.github.com/spec/v1\noid "))
            .find("lfs.png: is a git-lfs pointer") != std::string::npos);
  CHECK(read_error(folder.write("x.png", "\1\2\3")).ends_with("is not a JPEG, PNG or BMP image"));
  CHECK(read_error(folder.write("a.webp", "RIFF....WEBP"))
            .ends_with("a.webp: WebP images cannot be read; convert it to JPEG or PNG"));
  CHECK(read_error(folder.write("a.tif", std::string("MM\0*....", 8))).find("TIFF") !=
        std::string::npos);
  CHECK(read_error(folder.write("notes.png", "MM means millimetres"))
            .ends_with("is a text file; expected a JPEG, PNG or BMP image"));
  CHECK(read_error(folder.path("none.png"))
            .ends_with("none.png: cannot open: No such file or directory"));
  CHECK(read_error(folder.path()).ends_with("is not a regular file"));
}

TEST_CASE("a JPEG file without a Huffman table has the standard's, or is refused") {
  const std::string found = paths::source_dir() + "/tests/fuzz/findings/image/";
  CHECK(read_error(found + "no_huffman_table.jpg")
            .ends_with("the image is damaged (Huffman table 0x01 was not defined)"));
  const TemporaryFolder folder;
  for (const char* name : {"baseline.jpg", "grey.jpg"}) {
    std::string bytes = images::bytes(name);
    const std::size_t table = bytes.find("\xFF\xC4");
    REQUIRE(table != std::string::npos);
    bytes[table + 1] = '\xFE';  // a comment
    CHECK(datasets::read_image(folder.write(name, bytes)).pixels ==
          datasets::read_image(fixture(name)).pixels);
  }
}

TEST_CASE("a header that claims more pixels than the file can hold is refused at once") {
  // A BMP of 54 bytes that announces 16000 x 5000 pixels.
  std::string bytes = images::bytes("rgb.bmp").substr(0, 54);
  bytes[18] = static_cast<char>(16000 & 0xFF), bytes[19] = static_cast<char>(16000 >> 8);
  bytes[22] = static_cast<char>(5000 & 0xFF), bytes[23] = static_cast<char>(5000 >> 8);
  const TemporaryFolder folder;
  CHECK(read_error(folder.write("big.bmp", bytes))
            .ends_with("is damaged: 54 bytes cannot hold 16000x5000 pixels"));
}

TEST_CASE("thousands of damaged images give an error or an image") {
  Rng rng(17);
  int errors = 0, loads = 0;
  for (const char* name :
       {"baseline.jpg", "progressive.jpg", "grey.jpg", "palette.png", "rgb.bmp"}) {
    const std::string original = images::bytes(name);
    for (int mutant = 0; mutant < 400; ++mutant) {
      std::string bytes = original;
      for (std::uint64_t i = rng.below(4) + 1; i > 0; --i) {
        const std::size_t at = rng.below(rng.bernoulli(0.5) ? 64 : bytes.size());
        bytes[at] = static_cast<char>(rng.bernoulli(0.3) ? 0xFF : rng.below(256));
      }
      if (rng.bernoulli(0.2)) bytes.resize(rng.below(bytes.size()));
      nn::Image image;
      try {
        datasets::decode_image(std::as_bytes(std::span(bytes)), "mutant", image);
        CHECK(image.pixels.size() == static_cast<std::size_t>(3 * image.height * image.width));
        ++loads;
      } catch (const Error& error) {
        CHECK(std::string(error.what()).starts_with("mutant: "));
        ++errors;
      }
    }
  }
  CHECK(errors > 500);
  CHECK(loads > 100);
}

TEST_CASE("a folder of images has torchvision's classes and order") {
  const SomeImages folder;
  const auto dataset = datasets::image_folder(folder.path());
  CHECK(dataset->class_names() == std::vector<std::string>{"a", "b"});
  CHECK(dataset->num_classes() == 2);
  CHECK(dataset->image_shape() == Shape{3, 0, 0});
  std::vector<std::string> names;
  std::vector<std::int64_t> labels;
  nn::Image image;
  for (std::int64_t i = 0; i < dataset->size(); ++i) {
    names.push_back(fs::relative(dataset->name(i), folder.path()).string());
    labels.push_back(dataset->get(i, image));
    CHECK(image.channels == 3);
  }
  CHECK(names ==
        std::vector<std::string>{"a/10.png", "a/9.png", "b/1.png", "b/x-1/3.PNG", "b/x/z/2.png"});
  CHECK(labels == std::vector<std::int64_t>{0, 0, 1, 1, 1});
}

TEST_CASE("links are followed, but not in circles") {
  const SomeImages folder;
  fs::create_directory_symlink(folder.path("a"), folder.path("c"));
  fs::create_symlink(fixture("rgb.png"), folder.path("a/linked.png"));
  const auto dataset = datasets::image_folder(folder.path());
  CHECK(dataset->num_classes() == 3);
  CHECK(dataset->size() == 3 + 3 + 3);
  fs::create_directory_symlink(folder.path("b"), folder.path("b/x/again"));
  CHECK(message_of([&] {
          datasets::image_folder(folder.path());
        }).ends_with("b/x/again: links to a folder above it"));
}

TEST_CASE("folders that are no dataset are refused") {
  const SomeImages folder;
  fs::create_directory(folder.path("empty"));
  CHECK(message_of([&] {
          datasets::image_folder(folder.path());
        }).find("empty: there is no image in it (.jpg .jpeg") != std::string::npos);
  CHECK(message_of([&] {
          datasets::image_folder(folder.path("empty"));
        }).ends_with("has no sub-folders; expected one per class, with its images"));
  CHECK(message_of([&] {
          datasets::image_folder(folder.path("nowhere"));
        }).find("nowhere: cannot read the folder") != std::string::npos);
  CHECK(message_of([&] {
          datasets::image_folder(Split::train, folder.path("README.md"));
        }).ends_with("README.md: is not a folder"));
}

TEST_CASE("the parts of a folder of images must have the same classes") {
  const auto train = datasets::make("image-folder", Split::train, fixture("folder"));
  const auto val = datasets::make("image-folder", Split::test, fixture("folder"));
  CHECK(train->size() == 12);
  CHECK(val->size() == 4);
  const datasets::DatasetInfo info = datasets::info("image-folder", fixture("folder"));
  CHECK(info.classes == 2);
  CHECK(info.class_names == std::vector<std::string>{"china", "flower"});
  CHECK(datasets::info("image-folder").classes == 0);
  CHECK(message_of([] { datasets::make("image-folder", Split::train); }).find("--data DIR") !=
        std::string::npos);

  const TemporaryFolder folder;
  for (const char* part : {"train", "test"})
    fs::copy(SomeImages().path(), folder.path(part), fs::copy_options::recursive);
  CHECK(
      datasets::image_folder(Split::test, folder.path())->name(0).starts_with(folder.path("test")));
  fs::rename(folder.path("test/a"), folder.path("test/c"));
  CHECK(message_of([&] {
          datasets::image_folder(Split::test, folder.path());
        }).find("has the class c") != std::string::npos);
  fs::remove_all(folder.path("test/c"));
  CHECK(message_of([&] {
          datasets::image_folder(Split::test, folder.path());
        }).find("lacks the class a") != std::string::npos);
  fs::remove_all(folder.path("test"));
  CHECK(message_of([&] {
          datasets::image_folder(Split::test, folder.path());
        }).find("has only the folder train: expected val or test") != std::string::npos);
}

TEST_CASE("batches of decoded images are the same bits whatever the workers") {
  const auto dataset = datasets::image_folder(Split::train, fixture("folder"));
  std::vector<float> reference;
  for (const int workers : {0, 1, 3}) {
    nn::DataLoader loader(
        {.dataset = dataset,
         .transform = nn::compose(
             {nn::color_jitter({.brightness = 0.4, .hue = 0.1}), nn::imagenet_train({.size = 24})}),
         .batch_size = 5,
         .shuffle = true,
         .workers = workers},
        Rng(6));
    std::vector<float> pixels = pixels_of(loader);
    CHECK(pixels.size() == 12 * 3 * 24 * 24);
    if (workers == 0) reference = pixels;
    CHECK(pixels == reference);
  }
}

TEST_CASE("a loader names the file that is damaged or of another size, or skips it") {
  const SomeImages folder;
  folder.write("b/1.png", images::bytes("grey.png").substr(0, 100));
  const auto dataset = datasets::image_folder(folder.path());
  nn::DataLoader strict({.dataset = dataset, .batch_size = 5});
  CHECK(message_of([&] {
          pixels_of(strict);
        }).ends_with("b/1.png: the image is damaged (truncated)"));
  nn::DataLoader skipping({.dataset = dataset, .batch_size = 5, .on_error = nn::OnError::skip});
  CHECK(pixels_of(skipping).size() == 4 * 3 * 20 * 30);
  REQUIRE(skipping.skipped().size() == 1);
  CHECK(skipping.skipped()[0].index == 2);
  CHECK(name_of(dataset->name(2)) == "1.png");

  fs::remove(folder.path("b/1.png"));
  fs::copy_file(fixture("rgb.png"), folder.path("b/1.png"));
  nn::DataLoader mixed({.dataset = dataset, .batch_size = 5});
  CHECK(message_of([&] {
          pixels_of(mixed);
        }).find("b/1.png came out as 3x40x60, but its batch is") != std::string::npos);
  nn::DataLoader wrong(
      {.dataset = dataset, .transform = nn::normalize({0.5f}, {0.5f}), .batch_size = 5});
  CHECK(message_of([&] { pixels_of(wrong); }).find("a/10.png: normalize: has statistics") !=
        std::string::npos);
}

TEST_SUITE_END();
