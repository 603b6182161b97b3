#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "golden/golden_model.h"
#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/io/pth.h"
#include "rung/io/safetensors.h"
#include "rung/io/weights.h"
#include "support/temporary_folder.h"

using namespace rung;
using io::PthFile;

namespace {

void check_same(const PthFile& file, const nlohmann::json& expected) {
  REQUIRE(file.tensors().size() == expected.size());
  for (const auto& [name, tensor] : expected.items()) {
    CAPTURE(name);
    const Tensor got = file.tensor(name);
    CHECK(got.shape() == Shape(tensor.at("shape").get<std::vector<std::int64_t>>()));
    std::vector<float> values;
    for (const double value : tensor.at("values")) values.push_back(static_cast<float>(value));
    CHECK(std::ranges::equal(got.data(), values));
  }
}

std::string message_of(const std::filesystem::path& path) {
  try {
    const PthFile file(path);
    for (const io::PthTensor& tensor : file.tensors()) (void)file.tensor(tensor.name);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_SUITE("io pth") {
  TEST_CASE("tensors of every type and stride are read, in both formats of torch.save") {
    const nlohmann::json expected = golden::json("pth/expected.json");
    for (const char* name : {"pth/tensors.pth", "pth/tensors_legacy.pth"}) {
      CAPTURE(name);
      check_same(PthFile(golden::path(name)), expected.at("tensors"));
    }
  }

  TEST_CASE("a state_dict is found inside a checkpoint") {
    const nlohmann::json expected = golden::json("pth/expected.json").at("checkpoint");
    check_same(PthFile(golden::path("pth/model.pth")), expected);
    nlohmann::json prefixed;  // DataParallel's; load_weights takes it off
    for (const auto& [name, tensor] : expected.items()) prefixed["module." + name] = tensor;
    check_same(PthFile(golden::path("pth/checkpoint.pth")), prefixed);
  }

  TEST_CASE("PyTorch's own files hold what the safetensors files beside them hold") {
    for (const std::string name : {"network/init", "network/trained"}) {
      const PthFile file(golden::path(name + ".pth"));
      const io::SafetensorsFile same(golden::path(name + ".safetensors"));
      std::size_t compared = 0;
      for (const io::TensorInfo& info : same.tensors()) {
        CAPTURE(info.name);
        const Tensor a = file.tensor(info.name), b = same.tensor(info.name);
        CHECK(a.shape() == b.shape());
        CHECK(std::ranges::equal(a.data(), b.data()));
        ++compared;
      }
      CHECK(compared > 20);
    }
  }

  TEST_CASE("weights come from a checkpoint like from a safetensors file") {
    Graph graph = golden::network("network/init.safetensors");
    for (Parameter* parameter : graph.parameters())
      std::ranges::fill(parameter->edit().data(), 0.0f);
    io::load_weights(graph, golden::path("network/init.pth"));
    const Graph expected = golden::network("network/init.safetensors");
    for (Parameter* parameter : graph.parameters())
      CHECK(std::ranges::equal(parameter->value().data(),
                               expected.parameter(parameter->name()).value().data()));
  }

  TEST_CASE("programs and other objects are refused, and say what to save instead") {
    CHECK(message_of(golden::path("pth/script.pt")).find("TorchScript") != std::string::npos);
    const std::string module = message_of(golden::path("pth/module.pth"));
    CHECK(module.find("torch.nn") != std::string::npos);
    CHECK(module.find("state_dict") != std::string::npos);
    CHECK(message_of(golden::path("network/init.safetensors")).find("checkpoint") !=
          std::string::npos);
    CHECK_FALSE(message_of("/nowhere.pth").empty());
    CHECK_FALSE(message_of(golden::path("pth")).empty());
  }

  TEST_CASE("a storage that tensors describe differently is refused, whoever reads it first") {
    const std::string found = paths::source_dir() + "/tests/fuzz/findings/pth/";
    const std::string message = message_of(found + "storage_of_two_sizes.pth");
    CHECK(message.find("tensor \"b\" says another type or size of the storage \"0\"") !=
          std::string::npos);
    CHECK(message_of(found + "model_within_itself.pth").find("holds no dict of tensors") !=
          std::string::npos);
  }

  TEST_CASE("1000 damaged files of each format give an Error or tensors, never a crash") {
    const TemporaryFolder folder;
    Rng rng(5);
    for (const char* name : {"pth/tensors.pth", "pth/tensors_legacy.pth", "pth/checkpoint.pth"}) {
      const std::string whole = golden::bytes(name);
      int refused = 0;
      for (int i = 0; i < 1000; ++i) {
        std::string damaged = whole;
        const int kind = i % 4;
        if (kind == 0) {
          damaged.resize(rng.below(whole.size()));
        } else {
          const std::uint64_t bytes = kind == 1 ? 1 : rng.below(8) + 1;
          for (std::uint64_t k = 0; k < bytes; ++k)
            damaged[rng.below(whole.size())] =
                kind == 3 ? static_cast<char>(0xff) : static_cast<char>(rng.below(256));
        }
        const std::string path = folder.write("damaged.pth", damaged);
        refused += message_of(path).empty() ? 0 : 1;
      }
      MESSAGE(std::string(name), ": refused ", refused, " of 1000");
      CHECK(refused > 200);
    }
  }
}
