#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "rung/io/pth.h"
#include "rung/io/weights.h"
#include "support/io_helpers.h"
#include "support/io_models.h"

using namespace rung;
using namespace rung::io;
using iotest::TemporaryFolder;

namespace {

StateDict small_state_dict() {
  return {{"conv1.weight", Tensor({2, 1, 1, 2}, {0.1f, -0.0f, 3e-39f, 1e30f})},
          {"bn1.num_batches_tracked", IntegerTensor{{}, {1LL << 40}}},
          {"empty", Tensor(Shape{0, 3})},
          {"h\u00fc", Tensor::scalar(2.5f)},
          {"long", IntegerTensor{{300}, std::vector<std::int64_t>(300, -7)}}};
}

}  // namespace

TEST_SUITE("io pth") {
  TEST_CASE("what save_pth writes is read back bit for bit, in its order, with the same bytes") {
    const TemporaryFolder folder;
    const StateDict written = small_state_dict();
    save_pth(folder / "x.pth", written);
    save_pth(folder / "y.pth", written);
    CHECK(iotest::read_bytes(folder / "x.pth") == iotest::read_bytes(folder / "y.pth"));
    CHECK(folder.file_count() == 2);

    const PthFile file(folder / "x.pth");
    REQUIRE(file.tensors().size() == written.size());
    for (std::size_t i = 0; i < written.size(); ++i) {
      const auto& [name, value] = written[i];
      const PthTensor& info = file.tensors()[i];
      CHECK(info.name == name);
      const Tensor read = file.tensor(name);
      if (const auto* integers = std::get_if<IntegerTensor>(&value)) {
        CHECK(info.dtype == Dtype::I64);
        CHECK(info.shape == integers->shape);
        CHECK(read.data()[0] == static_cast<float>(integers->values[0]));
      } else {
        CHECK(info.dtype == Dtype::F32);
        CHECK(info.shape == std::get<ConstTensor>(value).shape());
        const auto bytes = std::as_bytes(std::get<ConstTensor>(value).data());
        CHECK(std::ranges::equal(std::as_bytes(read.data()), bytes));
      }
    }
  }

  TEST_CASE("the data of every entry begin at a multiple of 64 bytes") {
    const TemporaryFolder folder;
    save_pth(folder / "x.pth", small_state_dict());
    const std::string bytes = iotest::read_bytes(folder / "x.pth");
    const auto number = [&](std::size_t at) {
      return static_cast<unsigned char>(bytes[at]) +
             256u * static_cast<unsigned char>(bytes[at + 1]);
    };
    int entries = 0;
    std::size_t at = 0;
    while (bytes.compare(at, 4, "PK\x03\x04") == 0) {
      const std::size_t data = at + 30 + number(at + 26) + number(at + 28);
      CHECK(data % 64 == 0);
      CHECK(number(at + 8) == 0);                 // stored
      CHECK(number(at + 10) == 0);                // midnight
      CHECK(number(at + 12) == ((1u << 5) | 1));  // 1 January 1980
      at = data + number(at + 18) + 65536u * number(at + 20);
      ++entries;
    }
    CHECK(entries == 3 + 5);
  }

  TEST_CASE("floats of a checkpoint are rounded as numpy and PyTorch round them") {
    const TemporaryFolder folder;
    const SafetensorsFile expected(golden::path("dtypes/rounding.safetensors"));
    // What is beyond a type is another test's.
    const auto within = [&](const std::string& name, float largest) {
      std::vector<float> numbers;
      for (std::size_t i = 0; i < expected.tensor("x").data().size(); ++i)
        if (const float x = expected.tensor("x").data()[i]; !(std::abs(x) >= largest))
          numbers.push_back(expected.tensor(name).data()[i]);
      return numbers;
    };
    for (const auto& [name, dtype] : {std::pair{"x", Dtype::F32},
                                      {"f64", Dtype::F64},
                                      {"f16", Dtype::F16},
                                      {"bf16", Dtype::BF16}}) {
      CAPTURE(name);
      const float largest = dtype == Dtype::F16 ? 65520.0f : 3.39e38f;
      const std::vector<float> numbers = within("x", largest);
      CHECK(numbers.size() > 400);
      const Shape shape{static_cast<std::int64_t>(numbers.size())};
      save_pth(folder / "x.pth", {{"x", Tensor(shape, numbers)}}, {.float_dtype = dtype});
      const PthFile file(folder / "x.pth");
      CHECK(file.info("x").dtype == dtype);
      CHECK(std::ranges::equal(file.tensor("x").data(), within(name, largest)));
    }
  }

  TEST_CASE("weights are written in the format of the file's name and load again") {
    const TemporaryFolder folder;
    const Graph source = iotest::small_network();
    for (const char* name : {"w.pth", "w.pt", "w.safetensors"}) {
      CAPTURE(name);
      save_weights(source, folder / name);
      Graph target = iotest::small_network();
      for (Parameter* parameter : target.parameters()) parameter->edit().fill(0);
      const LoadWeightsReport report = load_weights(target, folder / name);
      CHECK(report.missing.empty());
      CHECK(report.unexpected.empty());
      for (const Parameter* parameter : source.parameters())
        CHECK(std::ranges::equal(target.parameter(parameter->name()).value().data(),
                                 parameter->value().data()));
    }
    const PthFile file(folder / "w.pth");
    const auto& tensors = file.tensors();
    const auto found = std::ranges::find(tensors, "bn1.num_batches_tracked", &PthTensor::name);
    REQUIRE(found != tensors.end());
    CHECK((found - 1)->name == "bn1.running_var");  // as in torch's state_dict
    CHECK(found->dtype == Dtype::I64);
    CHECK(found->shape == Shape{});

    save_weights(source, folder / "half.safetensors", {.float_dtype = Dtype::F16});
    CHECK(SafetensorsFile(folder / "half.safetensors").info("fc.weight").dtype == Dtype::F16);
    CHECK(message_of([&] {
            save_weights(source, folder / "w.bin");
          }).ends_with("w.bin: weights are written to *.safetensors, *.pth or *.pt"));
    CHECK(message_of([&] {
            save_weights(source, folder / "i8.safetensors", {.float_dtype = Dtype::I8});
          }).ends_with("weights can be F32, F64, F16 or BF16, not I8"));
  }

  TEST_CASE("wrong contents are not written, and a full disk leaves the earlier file") {
    const TemporaryFolder folder;
    const auto message = [&](const StateDict& state_dict) {
      return message_of([&] { save_pth(folder / "x.pth", state_dict); });
    };
    const Tensor one = Tensor::scalar(1);
    CHECK(message({{"a", one}, {"a", one}}).find("taken") != std::string::npos);
    CHECK(message({{"", one}}).find("empty") != std::string::npos);
    CHECK(message({{"a", Tensor()}}).find("undefined") != std::string::npos);
    CHECK(message({{"a", IntegerTensor{{2}, {1}}}}).find("needs 2") != std::string::npos);
    CHECK(folder.file_count() == 0);
    save_pth(folder / "x.pth", {{"a", one}});
    const std::string before = iotest::read_bytes(folder / "x.pth");
    {
      const iotest::FileSizeLimit limit(4096);
      CHECK(message({{"a", Tensor(Shape{100'000})}}).find("File too large") != std::string::npos);
    }
    CHECK(folder.file_count() == 1);
    CHECK(iotest::read_bytes(folder / "x.pth") == before);
    CHECK(message_of([&] {
            save_pth("/nowhere/x.pth", {{"a", one}});
          }).find("/nowhere/x.pth") != std::string::npos);
  }
}
