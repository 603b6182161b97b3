#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "io/tensors/npy_read.h"
#include "io/tensors/npy_write.h"
#include "rung/core/error.h"
#include "rung/io/text_file.h"
#include "support/temporary_folder.h"

using namespace rung;
using io::Dtype;
namespace fs = std::filesystem;

TEST_SUITE("io: npy") {
  TEST_CASE("rows that are written are read") {
    const TemporaryFolder folder;
    const fs::path path = folder / "x.npy";
    io::NpyWriter file(path, Dtype::F32, {2, 3});
    const std::array<float, 6> one = {1, 2, 3, 4, 5, 6};
    CHECK(io::read_npy(path.string()).dims == std::vector<std::int64_t>{0, 2, 3});
    for (int i = 0; i < 3; ++i) file.append(1, std::as_bytes(std::span(one)));
    file.finish();
    const io::Npy npy = io::read_npy(path.string());
    CHECK(npy.dims == std::vector<std::int64_t>{3, 2, 3});
    CHECK(npy.dtype == Dtype::F32);
    REQUIRE(npy.data.size() == 3 * sizeof one);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(std::memcmp(npy.data.data() + i * sizeof one, one.data(), sizeof one) == 0);
  }

  TEST_CASE("the header is that of NumPy") {
    const TemporaryFolder folder;
    const fs::path path = folder / "x.npy";
    for (const auto& [dtype, descr] :
         {std::pair{Dtype::U8, "|u1"}, std::pair{Dtype::I8, "|i1"}, std::pair{Dtype::U16, "<u2"},
          std::pair{Dtype::I32, "<i4"}, std::pair{Dtype::F32, "<f4"}}) {
      io::NpyWriter(path, dtype, {}).finish();
      const std::string text = io::read_text_file(path);
      CHECK(text.size() % 64 == 0);
      CHECK(text.starts_with(std::string("\x93NUMPY\x01\x00", 8)));
      CHECK(text.ends_with(" \n"));
      CHECK(text.find("{'descr': '" + std::string(descr) +
                      "', 'fortran_order': False, 'shape': (0,), }") == 10);
      CHECK(io::read_npy(path.string()).dtype == dtype);
    }
  }

  TEST_CASE("one row may stand alone") {
    const TemporaryFolder folder;
    const fs::path path = folder / "x.npy";
    const std::array<float, 2> numbers = {1, 2};
    io::NpyWriter file(path, Dtype::F32, {2});
    file.append(1, std::as_bytes(std::span(numbers)));
    file.finish(true);
    CHECK(io::read_npy(path.string()).dims == std::vector<std::int64_t>{2});
    io::NpyWriter scalar(path, Dtype::F32, {});
    scalar.append(1, std::as_bytes(std::span(numbers).first(1)));
    scalar.finish(true);
    CHECK(io::read_npy(path.string()).dims.empty());
  }

  TEST_CASE("errors name the file") {
    CHECK_THROWS_WITH_AS(io::NpyWriter("/nowhere/x.npy", Dtype::F32, {}),
                         "/nowhere/x.npy: cannot write: No such file or directory", rung::Error);
    const TemporaryFolder folder;
    CHECK_THROWS_AS(io::NpyWriter(folder / "x.npy", Dtype::BF16, {}), rung::Error);
  }
}
