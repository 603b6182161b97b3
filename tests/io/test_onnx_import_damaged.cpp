#include <doctest/doctest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "golden/golden.h"
#include "rung/core/error.h"
#include "rung/io/onnx_import.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

/// Draws numbers that are the same in every run.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::size_t below(std::size_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>((state_ >> 33) % limit);
  }

 private:
  std::uint64_t state_;
};

/// Flips bits, cuts the end off, doubles a part, or makes a length enormous.
std::string damaged(std::string bytes, Dice& dice) {
  switch (dice.below(4)) {
    case 0:
      for (std::size_t left = dice.below(3) + 1; left > 0; --left)
        bytes[dice.below(bytes.size())] ^= static_cast<char>(1u << dice.below(8));
      break;
    case 1:
      bytes.resize(dice.below(bytes.size()));
      break;
    case 2: {
      const std::size_t begin = dice.below(bytes.size());
      bytes.insert(dice.below(bytes.size()), bytes.substr(begin, dice.below(64) + 1));
      break;
    }
    default:
      // All ones: the highest varint, or a length of 2^63.
      bytes.replace(dice.below(bytes.size()), 1, std::string(dice.below(9) + 1, '\xff') + '\x7f');
  }
  return bytes;
}

std::int64_t peak_kilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/// Loads or gets an Error; anything else ends the test.
void try_load(const std::string& path, std::size_t& loaded, std::size_t& refused) {
  try {
    io::load_onnx(path);
    ++loaded;
  } catch (const Error& error) {
    CHECK(std::string(error.what()).starts_with(path));
    ++refused;
  }
}

}  // namespace

TEST_SUITE("io onnx import") {
  TEST_CASE("damaged files are refused with an Error, or read, within little time and memory") {
    const TemporaryFolder folder;
    std::size_t loaded = 0, refused = 0;
    const std::int64_t before = peak_kilobytes();
    const auto start = std::chrono::steady_clock::now();
    for (const std::string name : {"shapes_18", "qdq_13", "parts_13"}) {
      const std::string bytes = golden::bytes("onnx/" + name + ".onnx");
      Dice dice(name.size());
      for (int i = 0; i < 1000; ++i)
        try_load(folder.write("m.onnx", damaged(bytes, dice)), loaded, refused);
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    CHECK(loaded + refused == 3000);
    CHECK(refused > 500);
    CHECK(loaded > 100);  // weights and names may change
    CHECK(seconds.count() < 60.0);
    CHECK(peak_kilobytes() - before < 512 * 1024);
  }

  TEST_CASE("a file of many empty parts is refused before it is parsed") {
    const TemporaryFolder folder;
    // A graph of 2 MB: a million nodes of no bytes each.
    std::string nodes;
    for (int i = 0; i < 1'100'000; ++i) nodes += std::string("\x0a\x00", 2);
    std::string length;
    for (std::size_t left = nodes.size(); left > 0; left >>= 7)
      length += static_cast<char>((left & 127) | (left > 127 ? 128 : 0));
    const std::string path = folder.write("m.onnx", "\x3a" + length + nodes);
    CHECK_THROWS_WITH_AS(io::load_onnx(path), doctest::Contains("parts"), Error);
  }

  TEST_CASE("what is no model at all is refused") {
    const TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(io::load_onnx(folder.path("none.onnx")), doctest::Contains("none.onnx"),
                         Error);
    CHECK_THROWS_WITH_AS(io::load_onnx(folder.write("a.onnx", "")),
                         doctest::Contains("is an empty file"), Error);
    CHECK_THROWS_AS(io::load_onnx(folder.write("b.onnx", "This is a text, not a model.")), Error);
    CHECK_THROWS_AS(io::load_onnx(folder.write("c.onnx", std::string(100, '\x3a'))), Error);
    CHECK_THROWS_WITH_AS(
        io::load_onnx(folder.write("d.onnx", std::string(100, 'x')), {.max_bytes = 99}),
        doctest::Contains("has 100 bytes, more than 99"), Error);
  }
}
