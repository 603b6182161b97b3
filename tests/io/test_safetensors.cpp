#include <cstdint>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "rung/io/safetensors.h"
#include "support/io_helpers.h"

using namespace rung;
using namespace rung::io;
using iotest::TemporaryFolder;
using iotest::with_header;
using iotest::write_bytes;

namespace {

SafetensorsContent small_content() {
  return {.tensors = {{"a", Tensor({2, 2}, {1, 2, 3, 4})},
                      {"empty", Tensor(Shape{0, 5})},
                      {"scalar \"x\"", Tensor::scalar(7)}},
          .integers = {{"labels", {{3}, {1, -2, INT64_MAX}}}},
          .metadata = {{"note", "line 1\nline 2 \u00e9"}}};
}

std::vector<float> to_vector(const ConstTensor& tensor) {
  return {tensor.data().begin(), tensor.data().end()};
}

std::string message_for_header(const std::string& header, std::size_t data_bytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", with_header(header, data_bytes));
  const std::string message = message_of([&] { SafetensorsFile(folder / "x"); });
  const std::string prefix = (folder / "x").string();
  if (!message.starts_with(prefix)) return message;
  CHECK(message.find('\n') == std::string::npos);
  return message.substr(prefix.size());
}

std::string entry(const std::string& fields) { return "{\"x\":{" + fields + "}}"; }

}  // namespace

TEST_SUITE("golden network files") {
  TEST_CASE("PyTorch's files read as the independent reader of the tests reads them") {
    golden::Report report("golden network files");
    for (const std::string file :
         {"data", "init", "trained", "train_sgd", "train_momentum", "train_nesterov"}) {
      CAPTURE(file);
      const golden::Tensors expected = golden::tensors("network/" + file + ".safetensors");
      const SafetensorsFile read(golden::path("network/" + file + ".safetensors"));
      CHECK(read.tensors().size() == expected.size());
      for (const auto& [name, tensor] : expected.all()) {
        CHECK(read.info(name).shape == Shape(tensor.shape));
        if (tensor.floats.empty())
          CHECK(read.integers(name) == tensor.integers);
        else
          CHECK(to_vector(read.tensor(name)) == tensor.floats);
        report.add(tensor.floats.size() + tensor.integers.size());
      }
    }
  }
}

TEST_SUITE("io safetensors") {
  TEST_CASE("names, shapes, values and metadata survive a round trip with the same bytes") {
    const TemporaryFolder folder;
    const SafetensorsContent content = small_content();
    save_safetensors(folder / "x", content);
    save_safetensors(folder / "y", content);
    CHECK(iotest::read_bytes(folder / "x") == iotest::read_bytes(folder / "y"));

    const SafetensorsFile file(folder / "x");
    CHECK(file.metadata() == content.metadata);
    REQUIRE(file.tensors().size() == 4);
    CHECK(file.tensors()[0].name == "labels");  // the wider type first
    CHECK(file.integers("labels") == content.integers[0].second.values);
    for (const auto& [name, tensor] : content.tensors) {
      CHECK(file.info(name).shape == tensor.shape());
      CHECK(to_vector(file.tensor(name)) == to_vector(tensor));
    }
    CHECK(iotest::read_bytes(folder / "x")[8] == '{');
    CHECK(message_of([&] { file.tensor("lables"); }).find("closest: labels") != std::string::npos);
    CHECK(message_of([&] { file.integers("a"); }).find("expected integers") != std::string::npos);
  }

  TEST_CASE("an empty file content is legal") {
    const TemporaryFolder folder;
    save_safetensors(folder / "x", {});
    CHECK(SafetensorsFile(folder / "x").tensors().empty());
  }

  TEST_CASE("types without a conversion give their bytes") {
    const TemporaryFolder folder;
    write_bytes(folder / "x",
                with_header(R"({"x":{"dtype":"F4","shape":[2,4],"data_offsets":[0,4]}})", 4));
    const SafetensorsFile file(folder / "x");
    CHECK(file.bytes("x").size() == 4);
    CHECK(message_of([&] { file.tensor("x"); }).find("dtype F4") != std::string::npos);
  }

  TEST_CASE("wrong headers are refused in one clear line") {
    const std::string shape = R"("dtype":"F32","shape":[2],)";
    CHECK(message_for_header("[]", 0) == ": not a safetensors file: its header is no JSON object");
    CHECK(message_for_header("{", 0).starts_with(" (header): not valid JSON"));
    CHECK(message_for_header("{}", 3) ==
          ": too long: its header describes 0 bytes of data, it has 3");
    CHECK(message_for_header(entry(shape + R"("data_offsets":[0,8])"), 7) ==
          ": truncated: its header describes 8 bytes of data, it has 7");
    CHECK(message_for_header(entry(shape + R"("data_offsets":[0,7])"), 7).find("needs 8 bytes") !=
          std::string::npos);
    CHECK(message_for_header(entry(shape + R"("data_offsets":[8,0])"), 8).find("needs 8 bytes") !=
          std::string::npos);
    CHECK(message_for_header(entry(shape + R"("data_offsets":[4,12])"), 12).find("leave a gap") !=
          std::string::npos);
    CHECK(message_for_header(entry(shape + R"("data_offsets":[0,8,9])"), 8).find("at most 2") !=
          std::string::npos);
    CHECK(message_for_header(entry(shape + R"("data_offsets":[-1,7])"), 8).find("integer in") !=
          std::string::npos);
    CHECK(message_for_header(entry(R"("dtype":"F33","shape":[],"data_offsets":[0,4])"), 4)
              .find("unknown dtype \"F33\"") != std::string::npos);
    CHECK(message_for_header(entry(R"("dtype":"F32","data_offsets":[0,4])"), 4)
              .find("has no \"shape\"") != std::string::npos);
    CHECK(message_for_header(
              entry(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])"), 0)
              .find("too many elements") != std::string::npos);
    CHECK(message_for_header(entry(R"("dtype":"F4","shape":[3],"data_offsets":[0,1])"), 1)
              .find("whole bytes") != std::string::npos);
    CHECK(message_for_header(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                                 "y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                             3)
              .find("overlap") != std::string::npos);
    CHECK(message_for_header(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                                 "x":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                             4)
              .find("appears twice") != std::string::npos);
    CHECK(message_for_header(R"({"__metadata__":{"a":1}})", 0).find("must be a string") !=
          std::string::npos);
    const TemporaryFolder folder;
    write_bytes(folder / "x", std::string(8, '\x7f') + "{}");
    CHECK(message_of([&] { SafetensorsFile(folder / "x"); }).find("of an unknown kind") !=
          std::string::npos);
    write_bytes(folder / "x", "\1\2\3\4\5");
    CHECK(message_of([&] { SafetensorsFile(folder / "x"); }).find("only 5 bytes") !=
          std::string::npos);
  }

  TEST_CASE("a file cut anywhere is an Error") {
    const TemporaryFolder folder;
    save_safetensors(folder / "whole", small_content());
    const std::string bytes = iotest::read_bytes(folder / "whole");
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      write_bytes(folder / "cut", bytes.substr(0, size));
      CHECK_THROWS_AS(SafetensorsFile(folder / "cut"), Error);
    }
    MESSAGE("cut at ", bytes.size(), " places");
  }

  TEST_CASE("10000 damaged headers give an Error or a file that can be read, never a crash") {
    const TemporaryFolder folder;
    save_safetensors(folder / "whole", small_content());
    const std::string bytes = iotest::read_bytes(folder / "whole");
    const std::size_t header = bytes.size() - 44;
    std::uint64_t state = 7;
    int refused = 0;
    for (int i = 0; i < 10'000; ++i) {
      write_bytes(folder / "damaged", iotest::damaged(bytes, header, state));
      try {
        const SafetensorsFile file(folder / "damaged");
        for (const TensorInfo& info : file.tensors())
          if (info.dtype == Dtype::I64 || info.dtype == Dtype::F32) (void)file.tensor(info.name);
      } catch (const Error&) {
        ++refused;
      }
    }
    MESSAGE("refused ", refused, " of 10000");
    CHECK(refused > 5'000);
  }

  TEST_CASE("wrong contents are not written") {
    const TemporaryFolder folder;
    const auto message = [&](const SafetensorsContent& content) {
      return message_of([&] { save_safetensors(folder / "x", content); });
    };
    const Tensor one = Tensor::scalar(1);
    CHECK(message({.tensors = {{"a", one}, {"a", one}}}).find("taken") != std::string::npos);
    CHECK(message({.tensors = {{"__metadata__", one}}}).find("reserved") != std::string::npos);
    CHECK(message({.tensors = {{"a", Tensor()}}}).find("undefined") != std::string::npos);
    CHECK(message({.tensors = {{"\xff", one}}}).find("UTF-8") != std::string::npos);
    CHECK(message({.integers = {{"a", {{2}, {1}}}}}).find("needs 2") != std::string::npos);
    CHECK(folder.file_count() == 0);
  }

  TEST_CASE("a disk that fills up leaves nothing behind") {
    const TemporaryFolder folder;
    const iotest::FileSizeLimit limit(4096);
    CHECK(message_of([&] {
            save_safetensors(folder / "x", {.tensors = {{"a", Tensor(Shape{100'000})}}});
          }).find("File too large") != std::string::npos);
    CHECK(folder.file_count() == 0);
  }
}
