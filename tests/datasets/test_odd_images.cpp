// Image files as other programs leave them, against Pillow 13 (tests/golden/images/odd/make.py).

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "rung/core/error.h"
#include "rung/datasets.h"
#include "rung/nn/transforms.h"
#include "support/images.h"
#include "support/io_helpers.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

std::string odd(const std::string& name) { return images::path("odd/" + name); }

std::string read_error(const std::string& path) {
  return message_of([&] { datasets::read_image(path); });
}

/// Returns the same as what Pillow reads of another file.
images::Difference from(const std::string& name, const std::string& expected) {
  return images::difference(datasets::read_image(odd(name)), images::expected(expected));
}

/// Returns the bytes of a JPEG file without some of those of its (only) scan.
std::string with_scan_of(const std::string& jpeg, std::size_t bytes) {
  std::size_t scan = jpeg.find("\xFF\xDA");
  REQUIRE(scan != std::string::npos);
  scan += 2 + static_cast<unsigned char>(jpeg[scan + 3]);
  return jpeg.substr(0, scan + bytes) + "\xFF\xD9";
}

}  // namespace

TEST_SUITE_BEGIN("datasets odd images");

TEST_CASE("four components are CMYK without Adobe's marker, and YCCK by any of its transforms") {
  for (const char* name : {"cmyk_noadobe.jpg", "ycck.jpg", "cmyk_transform1.jpg"}) {
    INFO(std::string(name));
    CHECK(from(name, std::string("odd/") + name).largest == 0.0);
  }
}

TEST_CASE("stray bytes between the segments of a JPEG file are passed over") {
  CHECK(from("zeropad.jpg", "odd/zeropad.jpg").largest == 0.0);
  for (const auto& [name, same] :
       {std::pair{"strays.jpg", "baseline.jpg"}, std::pair{"zeros.jpg", "progressive.jpg"}}) {
    INFO(std::string(name));
    CHECK(datasets::read_image(odd(name)).pixels ==
          datasets::read_image(images::path(same)).pixels);
  }
}

TEST_CASE("a PNG file that ends after its pixels is read, one that ends before is truncated") {
  CHECK(from("noiend.png", "odd/noiend.png").largest == 0.0);
  for (const char* name : {"cut_crc.png", "cut_adler.png", "cut_stream.png"}) {
    INFO(std::string(name));
    CHECK(from(name, "rgb.png").largest == 0.0);
    CHECK(from(std::string("grey16_") + name, "grey16.png").largest == 0.0);
  }
  const TemporaryFolder folder;
  for (const char* name : {"rgb.png", "palette.png", "grey16.png", "rgba.png", "bilevel.png"}) {
    const std::string whole = images::bytes(name);
    for (std::size_t cut = 1; cut <= 12; ++cut) {
      INFO(std::string(name), " without ", cut);
      const std::string path = folder.write(name, whole.substr(0, whole.size() - cut));
      CHECK(images::difference(datasets::read_image(path), images::expected(name)).largest == 0.0);
    }
    for (const std::size_t left : {whole.size() - 40, whole.size() / 2, std::size_t{45}}) {
      INFO(std::string(name), " of ", left);
      const std::string path = folder.write(name, whole.substr(0, left));
      CHECK(read_error(path) == path + ": the image is damaged (truncated)");
    }
  }
}

TEST_CASE("a BMP file must have all its rows, but not what fills up the last one") {
  CHECK(from("cut_padding.bmp", "rgb.bmp").largest == 0.0);
  CHECK(from("top_down.bmp", "odd/top_down.bmp").largest == 0.0);
  CHECK(read_error(odd("trunc.bmp")) == odd("trunc.bmp") + ": the image is damaged (truncated)");
  const TemporaryFolder folder;
  const std::string whole = images::bytes("rgb.bmp"), top_down = [] {
    std::ifstream in(odd("top_down.bmp"), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  for (const std::string& bytes : {whole, top_down})
    for (const std::size_t left : {bytes.size() - 3, bytes.size() / 2, std::size_t{54},
                                   std::size_t{30}, std::size_t{20}, std::size_t{2}}) {
      INFO(left);
      const std::string path = folder.write("cut.bmp", bytes.substr(0, left));
      const std::string what = left >= 30 ? ": the image is damaged (truncated)"
                               : left > 2 ? ": the header is damaged"
                                          : ": is a text file";
      CHECK(read_error(path).starts_with(path + what));
    }
}

TEST_CASE("a JPEG file whose scan lacks bits is damaged") {
  const std::string what =
      ": the image is damaged (Corrupt JPEG data: premature end of data segment)";
  CHECK(read_error(odd("empty_scan.jpg")) == odd("empty_scan.jpg") + what);
  const TemporaryFolder folder;
  for (const char* name : {"baseline.jpg", "grey.jpg", "cmyk.jpg"})
    for (const std::size_t bytes : {0u, 1u, 3u, 200u}) {
      const std::string path = folder.write(name, with_scan_of(images::bytes(name), bytes));
      CHECK(read_error(path) == path + what);
    }
  // The first scan of a progressive file is one of DC values.
  const std::string path = folder.write("p.jpg", with_scan_of(images::bytes("progressive.jpg"), 1));
  CHECK(read_error(path) == path + what);
}

TEST_CASE("a JPEG file with a code that its tables do not have is damaged") {
  const TemporaryFolder folder;
  std::string bytes = images::bytes("baseline.jpg");
  for (std::size_t i = 0; i < 16; ++i)  // ones; of a byte FF a zero byte follows
    bytes[bytes.size() * 2 / 3 + i] = i % 2 == 0 ? '\xFF' : '\0';
  const std::string path = folder.write("codes.jpg", bytes);
  CHECK(read_error(path) == path + ": the image is damaged (Corrupt JPEG data: bad Huffman code)");
}

TEST_CASE("a JPEG file of a thousand scans is refused: each goes over all pixels") {
  const TemporaryFolder folder;
  const std::string whole = images::bytes("kinds/scans.jpg");
  const std::size_t last = whole.rfind("\xFF\xDA"), end = whole.size() - 2;
  std::string more;
  for (int i = 0; i < 1000; ++i) more += whole.substr(last, end - last);
  const std::string path = folder.write("scans.jpg", std::string(whole).insert(end, more));
  CHECK(read_error(path) == path + ": the image is damaged (too many scans)");
}

TEST_CASE("how long a side may be is a question of how many pixels there are") {
  const nn::Image wide = datasets::read_image(odd("wide20000.png"));
  REQUIRE(wide.height == 10);
  REQUIRE(wide.width == 20000);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < 200'000; ++i)
    for (std::size_t c = 0; c < 3; ++c)
      wrong += wide.pixels[c * 200'000 + i] != static_cast<float>((3 * i + c) % 251) / 255.0f;
  CHECK(wrong == 0);
}

TEST_CASE("resized and cropped images are torchvision's to the bit, however long they are") {
  const nn::Transform prepare =
      nn::imagenet_eval({.size = 56, .resize = 64, .statistics = {{0, 0, 0}, {1, 1, 1}}});
  for (const char* name : {"long", "tall", "thin", "half", "grown", "portrait"}) {
    INFO(std::string(name));
    nn::Image image = datasets::read_image(odd(std::string(name) + ".png"));
    Rng rng(0);
    prepare(image, rng);
    CHECK(images::difference(image, images::expected(std::string("odd/") + name + "_56")).largest ==
          0.0);
  }
}

// 2000 x 1 would become 512000 x 256: what the crop throws away is not computed.
TEST_CASE("the time of resizing grows with the pixels that come out") {
  const nn::Transform prepare = nn::imagenet_eval();
  Rng rng(0);
  nn::Image image = datasets::read_image(odd("2000x1.png"));
  prepare(image, rng);
  CHECK(image.pixels.size() == 3 * 224 * 224);
  image.resize(3, 1, 10'000'000);  // 2,560,000,000 x 256: no memory would hold it
  std::ranges::fill(image.pixels, 0.5f);
  prepare(image, rng);
  CHECK(image.pixels.size() == 3 * 224 * 224);
}

TEST_SUITE_END();
