#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "golden.h"
#include "io_helpers.h"
#include "rung/core/error.h"
#include "rung/io/encodings.h"

using namespace rung::io;
using iotest::message_of;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr std::array kFolders = {
    "export_bn_default_config_0.6.1",     "export_bn_default_config_per_channel_0.6.1",
    "export_bn_default_config_1.0.0",     "export_bn_default_config_per_channel_1.0.0",
    "export_folded_default_config_0.6.1", "export_folded_default_config_per_channel_0.6.1",
    "export_folded_default_config_1.0.0", "export_folded_default_config_per_channel_1.0.0"};

std::string golden_text(const std::string& folder, const std::string& name) {
  return golden::bytes("export/" + folder + "/" + name);
}

TensorEncoding int8(const std::string& name) {
  TensorEncoding encoding;
  encoding.name = name;
  encoding.min = {-1.0};
  encoding.max = {0.9921875};
  encoding.scale = {0.0078125};
  encoding.offset = {-128};
  encoding.is_symmetric = true;
  return encoding;
}

}  // namespace

TEST_SUITE("golden export files") {
  TEST_CASE("every golden export is compared") {
    for (const auto& entry : fs::directory_iterator(golden::path("export"))) {
      CAPTURE(entry.path().string());
      CHECK(std::ranges::count(kFolders, entry.path().filename().string()) == 1);
    }
  }

  TEST_CASE("AIMET's encodings files keep every JSON value when read and written again") {
    golden::Report report("golden export files: encodings read and written");
    for (const std::string folder : kFolders) {
      CAPTURE(folder);
      const std::string text = golden_text(folder, "net.encodings");
      const EncodingsFile file = parse_encodings(text, folder);
      CHECK(Json::parse(encodings_text(file)) == Json::parse(text));
      const std::string module_text = golden_text(folder, "net_torch.encodings");
      const ModuleEncodingsFile modules = parse_module_encodings(module_text, folder);
      CHECK(Json::parse(encodings_text(modules)) == Json::parse(module_text));
      report.add(file.activations.size() + file.parameters.size() + modules.activations.size() +
                 modules.parameters.size());
    }
  }

  TEST_CASE("the ranges derived from version 1.0.0 are those that version 0.6.1 states") {
    golden::Report report("golden export files: derived ranges");
    for (std::string folder : kFolders) {
      if (!folder.ends_with("_1.0.0")) continue;
      const EncodingsFile now = parse_encodings(golden_text(folder, "net.encodings"), folder);
      folder.replace(folder.size() - 5, 5, "0.6.1");
      const EncodingsFile old = parse_encodings(golden_text(folder, "net.encodings"), folder);
      for (const TensorEncoding& from : now.parameters) {
        const auto same = std::ranges::find(old.parameters, from.name, &TensorEncoding::name);
        REQUIRE(same != old.parameters.end());
        REQUIRE(same->scale == from.scale);
        for (std::size_t i = 0; i < from.min.size(); ++i) {
          CHECK(from.min[i] == doctest::Approx(same->min[i]).epsilon(1e-6));
          report.add(2);
          CHECK(from.max[i] == doctest::Approx(same->max[i]).epsilon(1e-6));
        }
      }
    }
  }
}

TEST_SUITE("io encodings") {
  TEST_CASE("every kind of encoding survives version 1.0.0") {
    EncodingsFile file;
    file.activations = {int8("input"), int8("output")};
    TensorEncoding half{.name = "hidden"};
    half.dtype = EncodingDtype::floating;
    half.bitwidth = 16;
    file.activations.push_back(half);
    TensorEncoding channels = int8("conv.weight");
    channels.type = EncodingType::per_channel;
    channels.scale = {0.5, 0.25};
    channels.offset = {-128, -128};
    channels.min = {-64, -32};
    channels.max = {63.5, 31.75};
    TensorEncoding blocks = channels;
    blocks.name = "fc.weight";
    blocks.type = EncodingType::per_block;
    blocks.block_size = 64;
    TensorEncoding lpbq = blocks;
    lpbq.name = "fc2.weight";
    lpbq.type = EncodingType::lpbq;
    lpbq.compressed_bitwidth = 4;
    lpbq.per_block_int_scale = {1, 16, 3, 2};
    file.parameters = {channels, blocks, lpbq};
    file.excluded_layers = {"fc3"};
    file.quantizer_args = QuantizerArgs{};
    CHECK(parse_encodings(encodings_text(file), "text") == file);
  }

  TEST_CASE("version 0.6.1 refuses block quantization and says what to do") {
    EncodingsFile file{.version = EncodingsVersion::v0_6_1};
    file.parameters = {int8("fc.weight")};
    file.parameters[0].type = EncodingType::per_block;
    CHECK(message_of([&] { encodings_text(file); }).find("use 1.0.0") != std::string::npos);
  }

  TEST_CASE("bitwidth-only entries and the version-less file are read and written") {
    ModuleEncodingsFile file;
    file.version.reset();
    TensorEncoding bare;
    file.activations = {{.module = "conv1", .side = ModuleEncoding::Side::input, .index = 1}};
    file.activations[0].encoding = bare;
    file.parameters = {int8("conv1.weight")};
    const std::string text = encodings_text(file);
    CHECK(parse_module_encodings(text, "text") == file);
    CHECK(Json::parse(text).size() == 2);
  }

  TEST_CASE("a wrong file is refused with its name and the place") {
    const auto message = [](std::string_view text) {
      return message_of([&] { parse_encodings(text, "net.encodings"); });
    };
    CHECK(message("{").starts_with("net.encodings: not valid JSON"));
    CHECK(message("[]") == "net.encodings: the top level must be an object, got array");
    CHECK(message(R"({"version":"9.0.0"})") ==
          R"(net.encodings: version must be "0.6.1" or "1.0.0", got "9.0.0")");
    CHECK(
        message(R"({"version":"0.6.1","activation_encodings":{},"param_encodings":{"conv1.weight":
        [{"bitwidth":8,"dtype":"int","is_symmetric":"True","max":1,"min":-1,"offset":-128,
          "scale":"x"}]}})") ==
        R"(net.encodings: param_encodings["conv1.weight"][0].scale must be a number, got string)");
    CHECK(message(R"({"version":"1.0.0","activation_encodings":[{"name":"x","dtype":"INT",
        "enc_type":"VECTOR","bw":8}],"param_encodings":[]})")
              .starts_with("net.encodings: activation_encodings[0].enc_type must be"));
    CHECK(message(R"({"version":"1.0.0","activation_encodings":[{"name":"x","dtype":"INT",
        "enc_type":"PER_TENSOR","bw":8,"is_sym":true,"scale":[1,2],"offset":[0,0]}],
        "param_encodings":[]})") ==
          "net.encodings: activation_encodings[0] is PER_TENSOR, but has 2 scales");
    CHECK(message(R"({"version":"1.0.0","version":"0.6.1"})") ==
          R"(net.encodings: the key "version" appears twice)");
  }

  TEST_CASE("a truncated or damaged golden file gives an Error, never a crash") {
    const std::string text = golden_text("export_folded_default_config_1.0.0", "net.encodings");
    for (std::size_t size = 0; size < text.size(); size += 7)
      CHECK_THROWS_AS(parse_encodings(text.substr(0, size), "text"), rung::Error);
    std::uint64_t state = 1;
    for (int i = 0; i < 2000; ++i) {
      std::string damaged = text;
      state = state * 6364136223846793005u + 1442695040888963407u;
      damaged[(state >> 33) % damaged.size()] = static_cast<char>(state >> 24);
      try {
        (void)encodings_text(parse_encodings(damaged, "text"));
      } catch (const rung::Error&) {
      }
    }
  }
}
