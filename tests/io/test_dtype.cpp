// The number types of tensors in files, read as float32 and written from it.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "rung/io/pth.h"
#include "rung/io/safetensors.h"
#include "rung/io/weights.h"
#include "support/io_helpers.h"

using namespace rung;
using namespace rung::io;
using iotest::TemporaryFolder;
using iotest::with_header;
using iotest::write_bytes;

namespace {

/// Writes one tensor of raw bytes and reads it as floats.
template <typename T>
std::vector<float> floats_of(const std::string& dtype, const std::vector<T>& values) {
  const TemporaryFolder folder;
  const std::size_t bytes = values.size() * sizeof(T);
  std::string file = with_header("{\"x\":{\"dtype\":\"" + dtype + "\",\"shape\":[" +
                                     std::to_string(values.size()) + "],\"data_offsets\":[0," +
                                     std::to_string(bytes) + "]}}",
                                 bytes);
  std::memcpy(file.data() + file.size() - bytes, values.data(), bytes);
  write_bytes(folder / "x", file);
  const SafetensorsFile read(folder / "x");
  CHECK(read.bytes("x").size() == bytes);
  const Tensor tensor = read.tensor("x");
  return {tensor.data().begin(), tensor.data().end()};
}

}  // namespace

TEST_SUITE("io dtypes") {
  TEST_CASE("every number type converts to float32") {
    const float inf = std::numeric_limits<float>::infinity();
    using Floats = std::vector<float>;
    CHECK(floats_of<float>("F32", {1.5f, -0.1f}) == Floats{1.5f, -0.1f});
    CHECK(floats_of<double>("F64", {1.5, 0.1, std::numeric_limits<double>::infinity()}) ==
          Floats{1.5f, 0.1f, inf});
    CHECK(floats_of<std::uint16_t>("F16", {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0xfc00}) ==
          Floats{1, -2, std::ldexp(1.0f, -24), 65504, inf, -inf});
    CHECK(std::isnan(floats_of<std::uint16_t>("F16", {0x7e00})[0]));
    CHECK(floats_of<std::uint16_t>("BF16", {0x3f80, 0xc000, 0x7f80}) == Floats{1, -2, inf});
    CHECK(floats_of<std::uint8_t>("F8_E4M3", {0x38, 0x7e, 0x01, 0xb8}) ==
          Floats{1, 448, std::ldexp(1.0f, -9), -1});
    CHECK(std::isnan(floats_of<std::uint8_t>("F8_E4M3", {0x7f})[0]));
    CHECK(floats_of<std::uint8_t>("F8_E5M2", {0x3c, 0x7b, 0x7c}) == Floats{1, 57344, inf});
    CHECK(floats_of<std::int64_t>("I64", {-3, 1LL << 40}) == Floats{-3, 0x1p40f});
    CHECK(floats_of<std::uint64_t>("U64", {UINT64_MAX}) == Floats{0x1p64f});
    CHECK(floats_of<std::int32_t>("I32", {-3, 5}) == Floats{-3, 5});
    CHECK(floats_of<std::uint32_t>("U32", {UINT32_MAX}) == Floats{0x1p32f});
    CHECK(floats_of<std::int16_t>("I16", {-3, 5}) == Floats{-3, 5});
    CHECK(floats_of<std::uint16_t>("U16", {65535}) == Floats{65535});
    CHECK(floats_of<std::int8_t>("I8", {-128, 5}) == Floats{-128, 5});
    CHECK(floats_of<std::uint8_t>("U8", {255, 5}) == Floats{255, 5});
    CHECK(floats_of<std::uint8_t>("BOOL", {0, 1}) == Floats{0, 1});
    CHECK(floats_of<double>("F64", std::vector<double>(100'000, 0.5)) == Floats(100'000, 0.5f));
  }

  TEST_CASE("floats are written in other types as numpy and PyTorch round them") {
    const TemporaryFolder folder;
    const SafetensorsFile expected(golden::path("dtypes/rounding.safetensors"));
    const Tensor x = expected.tensor("x");
    save_safetensors(folder / "x",
                     {.tensors = {{"x", x}, {"f64", x}, {"f16", x}, {"bf16", x}},
                      .dtypes = {{"f64", Dtype::F64}, {"f16", Dtype::F16}, {"bf16", Dtype::BF16}},
                      .saturate = true});
    const SafetensorsFile file(folder / "x");
    CHECK(file.tensors()[0].name == "f64");  // the wider type first
    for (const char* name : {"x", "f64", "f16", "bf16"}) {
      CAPTURE(name);
      CHECK(file.info(name).dtype == expected.info(name).dtype);
      const Tensor got = file.tensor(name), theirs = expected.tensor(name);
      const float largest = name[0] == 'f' ? 65504.0f : 0x1.fep127f;
      int saturated = 0;
      for (std::size_t i = 0; i < x.data().size(); ++i) {
        // They write infinity for what is too large; here --saturate was asked for.
        const bool is_beyond = std::isinf(theirs.data()[i]) && std::isfinite(x.data()[i]);
        saturated += is_beyond ? 1 : 0;
        const float wanted = is_beyond ? std::copysign(largest, x.data()[i]) : theirs.data()[i];
        CHECK(std::bit_cast<std::uint32_t>(got.data()[i]) == std::bit_cast<std::uint32_t>(wanted));
      }
      CHECK((saturated > 0) == (std::string_view(name) == "f16" || name[0] == 'b'));
    }
  }

  TEST_CASE("a number that a floating-point type would make infinite is refused by name") {
    const TemporaryFolder folder;
    const auto save = [&](Dtype dtype, float x) {
      return message_of([&] {
        save_safetensors(folder / "x",
                         {.tensors = {{"a", Tensor(Shape{2}, {1, x})}}, .dtypes = {{"a", dtype}}});
      });
    };
    CHECK(save(Dtype::F16, 1e6f) ==
          (folder / "x").string() +
              ": \"a\" has 1000000 at position 1, F16 holds at most 65504: write a wider type, or "
              "the largest number in its place (rung convert --saturate)");
    const float inf = std::numeric_limits<float>::infinity();
    struct Edge {
      Dtype dtype;
      float largest, rounds_down, too_large;
    };
    for (const Edge& edge :
         {Edge{Dtype::F16, 65504, std::nextafter(65520.0f, 0.0f), 65520},
          Edge{Dtype::BF16, 0x1.fep127f, std::nextafter(0x1.ffp127f, 0.0f), 0x1.ffp127f},
          Edge{Dtype::F8_E5M2, 57344, std::nextafter(61440.0f, 0.0f), 61440},
          Edge{Dtype::F8_E4M3, 448, 464, std::nextafter(464.0f, inf)}}) {
      CAPTURE(to_string(edge.dtype));
      for (const float sign : {1.0f, -1.0f}) {
        CHECK(save(edge.dtype, sign * edge.rounds_down) == "no Error");
        CHECK(SafetensorsFile(folder / "x").tensor("a").data()[1] == sign * edge.largest);
        CHECK(save(edge.dtype, sign * edge.too_large) != "no Error");
        save_safetensors(folder / "x",
                         {.tensors = {{"a", Tensor(Shape{1}, {sign * edge.too_large})}},
                          .dtypes = {{"a", edge.dtype}},
                          .saturate = true});
        CHECK(SafetensorsFile(folder / "x").tensor("a").item() == sign * edge.largest);
      }
    }
    CHECK(save(Dtype::F16, inf) == "no Error");  // what is infinite stays so
  }

  TEST_CASE("NaN stays NaN in every floating-point type") {
    const TemporaryFolder folder;
    const Tensor nan = Tensor::scalar(std::numeric_limits<float>::quiet_NaN());
    for (const Dtype dtype :
         {Dtype::F64, Dtype::F16, Dtype::BF16, Dtype::F8_E5M2, Dtype::F8_E4M3}) {
      save_safetensors(folder / "x", {.tensors = {{"a", nan}}, .dtypes = {{"a", dtype}}});
      CHECK(std::isnan(SafetensorsFile(folder / "x").tensor("a").item()));
    }
  }

  TEST_CASE("every code of a small type survives being read and written") {
    const TemporaryFolder folder;
    const auto check = [&](Dtype dtype, std::size_t codes, std::size_t element) {
      std::string raw;
      for (std::size_t code = 0; code < codes; ++code)
        raw += std::string(reinterpret_cast<const char*>(&code), element);
      const std::string name(to_string(dtype));
      write_bytes(folder / "x", with_header(R"({"x":{"dtype":")" + name + R"(","shape":[)" +
                                                std::to_string(codes) + R"(],"data_offsets":[0,)" +
                                                std::to_string(raw.size()) + "]}}",
                                            0) +
                                    raw);
      const Tensor values = SafetensorsFile(folder / "x").tensor("x");
      save_safetensors(folder / "y", {.tensors = {{"x", values}}, .dtypes = {{"x", dtype}}});
      const std::vector<std::byte> written = SafetensorsFile(folder / "y").bytes("x");
      REQUIRE(written.size() == raw.size());
      std::size_t different = 0;
      for (std::size_t i = 0; i < codes; ++i)
        different += !std::isnan(values.data()[i]) &&
                     std::memcmp(raw.data() + i * element, written.data() + i * element, element);
      CHECK(different == 0);
    };
    check(Dtype::F16, 65536, 2);
    check(Dtype::BF16, 65536, 2);
    check(Dtype::F8_E5M2, 256, 1);
    check(Dtype::F8_E4M3, 256, 1);
    check(Dtype::I8, 256, 1);
    check(Dtype::U16, 65536, 2);
    check(Dtype::BOOL, 2, 1);
  }

  TEST_CASE("whole numbers are written in every integer type that holds them, others are refused") {
    const TemporaryFolder folder;
    struct Limits {
      Dtype dtype;
      std::int64_t low, high;
    };
    for (const auto& [dtype, low, high] : {Limits{Dtype::BOOL, 0, 1},
                                           {Dtype::U8, 0, 255},
                                           {Dtype::I8, -128, 127},
                                           {Dtype::U16, 0, 65535},
                                           {Dtype::I16, -32768, 32767},
                                           {Dtype::U32, 0, 0xffffffff},
                                           {Dtype::I32, INT32_MIN, INT32_MAX},
                                           {Dtype::U64, 0, INT64_MAX},
                                           {Dtype::I64, INT64_MIN, INT64_MAX}}) {
      CAPTURE(to_string(dtype));
      const auto save = [&](std::vector<std::int64_t> values) {
        const auto count = static_cast<std::int64_t>(values.size());
        save_safetensors(folder / "x", {.integers = {{"a", {{count}, std::move(values)}}},
                                        .dtypes = {{"a", dtype}}});
      };
      save({low, high});
      const SafetensorsFile file(folder / "x");
      CHECK(file.info("a").dtype == dtype);
      CHECK(file.integers("a") == std::vector<std::int64_t>{low, high});
      if (dtype != Dtype::U64 && dtype != Dtype::I64)
        CHECK(message_of([&] { save({high + 1}); }).find("does not hold") != std::string::npos);
      if (dtype != Dtype::I64)
        CHECK(message_of([&] { save({low - 1}); }).find("does not hold") != std::string::npos);
      const auto save_float = [&](float value) {
        save_safetensors(folder / "y",
                         {.tensors = {{"a", Tensor::scalar(value)}}, .dtypes = {{"a", dtype}}});
      };
      save_float(1.0f);
      CHECK(SafetensorsFile(folder / "y").integers("a") == std::vector<std::int64_t>{1});
      for (const float wrong : {0.5f, 1e30f, -1e30f, std::numeric_limits<float>::quiet_NaN()})
        CHECK(message_of([&] { save_float(wrong); }).find("does not hold") != std::string::npos);
    }
    const auto refused = [&](Dtype dtype) {
      return message_of([&] {
        save_safetensors(folder / "z",
                         {.tensors = {{"a", Tensor::scalar(1)}}, .dtypes = {{"a", dtype}}});
      });
    };
    CHECK(refused(Dtype::C64).find("not written as C64") != std::string::npos);
    CHECK(refused(Dtype::F4).find("not written as F4") != std::string::npos);
    CHECK(message_of([&] {
            save_safetensors(folder / "z", {.dtypes = {{"a", Dtype::F16}}});
          }).find("not there") != std::string::npos);
  }

  TEST_CASE("finite doubles beyond float32 are refused, or become the largest float32") {
    const TemporaryFolder folder;
    const double infinity = std::numeric_limits<double>::infinity();
    // The last but one is rounded down to the largest float32.
    const std::vector<double> values = {1, infinity, -1e300, 0x1.fffffefp127, 0x1.ffffffp127};
    std::string file = with_header(R"({"x":{"dtype":"F64","shape":[5],"data_offsets":[0,40]}})",
                                   values.size() * sizeof(double));
    std::memcpy(file.data() + file.size() - 40, values.data(), 40);
    write_bytes(folder / "d.safetensors", file);
    convert_weights(folder / "d.safetensors", folder / "d.pth");  // as they are
    const std::string expected = "\"x\" has -1e+300 at position 2, F32 holds at most 3.402823";
    CHECK(message_of([&] {
            SafetensorsFile(folder / "d.safetensors").tensor("x");
          }).find(expected) != std::string::npos);
    CHECK(message_of([&] { PthFile(folder / "d.pth").tensor("x"); }).find(expected) !=
          std::string::npos);
    const float most = std::numeric_limits<float>::max();
    const std::vector<float> saturated = {1, std::numeric_limits<float>::infinity(), -most, most,
                                          most};
    for (const char* from : {"d.safetensors", "d.pth"})
      for (const char* to : {"f.safetensors", "f.pth"}) {
        CAPTURE(from);
        CAPTURE(to);
        for (const Dtype dtype : {Dtype::F32, Dtype::F16, Dtype::BF16}) {
          CHECK(message_of([&] {
                  convert_weights(folder / from, folder / to, {.float_dtype = dtype});
                }).find(expected) != std::string::npos);
          CHECK(!std::filesystem::exists(folder / to));
        }
        convert_weights(folder / from, folder / to, {.float_dtype = Dtype::F32, .saturate = true});
        const Tensor tensor = std::string(to) == "f.pth" ? PthFile(folder / to).tensor("x")
                                                         : SafetensorsFile(folder / to).tensor("x");
        CHECK(std::vector<float>(tensor.data().begin(), tensor.data().end()) == saturated);
        std::filesystem::remove(folder / to);
      }
  }
}
