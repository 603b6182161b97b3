#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "golden/golden.h"
#include "rung/core/error.h"
#include "rung/io/encodings.h"
#include "support/io_helpers.h"

using namespace rung::io;
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
          R"(net.encodings: version must be "0.6.1", "1.0.0", "2.0.0" or "2.1.0", got "9.0.0")");
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

  TEST_CASE("a strict symmetric encoding of version 1.0.0 has one code less") {
    EncodingsFile file;
    file.parameters = {int8("conv.weight")};
    file.parameters[0].offset = {-127};
    file.parameters[0].min = {-127 * 0.0078125};
    file.parameters[0].max = {127 * 0.0078125};
    CHECK(parse_encodings(encodings_text(file), "text") == file);
  }

  TEST_CASE("a tensor that appears twice is refused in every version") {
    EncodingsFile file;
    file.activations = {int8("x"), int8("x")};
    for (const auto version : {EncodingsVersion::v0_6_1, EncodingsVersion::v1_0_0,
                               EncodingsVersion::v2_0_0, EncodingsVersion::v2_1_0}) {
      file.version = version;
      CHECK(message_of([&] { encodings_text(file); }) == "encodings: \"x\" appears twice");
    }
  }

  TEST_CASE("either keying is told apart by the layout") {
    for (const std::string folder : kFolders) {
      CAPTURE(folder);
      const auto tensors = parse_any_encodings(golden_text(folder, "net.encodings"), folder);
      const auto modules = parse_any_encodings(golden_text(folder, "net_torch.encodings"), folder);
      CHECK(std::get<EncodingsFile>(tensors) ==
            parse_encodings(golden_text(folder, "net.encodings"), folder));
      CHECK(std::get<ModuleEncodingsFile>(modules) ==
            parse_module_encodings(golden_text(folder, "net_torch.encodings"), folder));
    }
    const auto table = parse_any_encodings(
        R"({"fc.weight":[{"bitwidth":4,"dtype":"int","is_symmetric":"True","max":7,"min":-8}]})",
        "adaround.encodings");
    REQUIRE(std::get<ModuleEncodingsFile>(table).parameters.size() == 1);
    CHECK(std::get<ModuleEncodingsFile>(table).parameters[0].name == "fc.weight");
  }
}

TEST_SUITE("io encodings 2.0.0") {
  TEST_CASE("every kind of entry is written as AIMET writes it") {
    EncodingsFile file{.version = EncodingsVersion::v2_0_0};
    TensorEncoding activation{.name = "input.1"};
    activation.scale = {0.5};
    activation.offset = {-113};
    TensorEncoding centred = int8("h");  // symmetric, but activations have unsigned codes
    TensorEncoding weight{.name = "conv.weight"};
    weight.type = EncodingType::per_channel;
    weight.is_symmetric = weight.is_signed = true;
    weight.scale = {0.5, 0.25};
    weight.offset = {-128, -128};
    weight.axis = 0;
    TensorEncoding blocks = weight;
    blocks.name = "fc.weight";
    blocks.type = EncodingType::per_block;
    blocks.bitwidth = 4;
    blocks.scale = {0.5, 0.25, 1.0, 2.0};
    blocks.offset = {-8, -8, -8, -8};
    blocks.axis = 1;
    blocks.block_size = 64;
    blocks.block_shape = {2, 2};
    TensorEncoding lpbq = blocks;
    lpbq.name = "fc2.weight";
    lpbq.type = EncodingType::lpbq;
    lpbq.bitwidth = 8;
    lpbq.compressed_bitwidth = 4;
    lpbq.scale = {0.5, 0.25};
    lpbq.offset = {-128, -128};
    lpbq.per_block_int_scale = {1, 16, 3, 2};
    TensorEncoding bias = weight;
    bias.name = "conv.bias";
    bias.bitwidth = 32;
    bias.offset = {INT32_MIN, INT32_MIN};
    TensorEncoding half{.name = "s", .dtype = EncodingDtype::floating, .bitwidth = 16};
    half.float_type = "bfloat16";
    file.activations = {activation, centred, half};
    file.parameters = {weight, blocks, lpbq, bias};

    CHECK(Json::parse(encodings_text(file)) == Json::parse(R"({"version": "2.0.0", "encodings": [
      {"name": "input.1", "output_dtype": "uint8", "y_scale": 0.5, "y_zero_point": 113},
      {"name": "h", "output_dtype": "uint8", "y_scale": 0.0078125, "y_zero_point": 128},
      {"name": "s", "output_dtype": "bfloat16"},
      {"name": "conv.weight", "output_dtype": "int8", "y_scale": [0.5, 0.25], "axis": 0},
      {"name": "fc.weight", "output_dtype": "int4", "y_scale": [[0.5, 0.25], [1.0, 2.0]],
       "axis": 1, "block_size": 64},
      {"name": "fc2.weight", "output_dtype": "int4", "per_block_int_scale": [[1, 16], [3, 2]],
       "per_channel_float_scale": [[0.5], [0.25]], "axis": 1, "block_size": 64},
      {"name": "conv.bias", "output_dtype": "int32", "y_scale": [0.5, 0.25], "axis": 0}]})"));
  }

  TEST_CASE("what is read and written again is the same JSON") {
    const std::string text = R"({"version": "2.0.0", "excluded_layers": ["fc3"], "encodings": [
      {"name": "a", "output_dtype": "uint8", "y_scale": 0.01860000006854534, "y_zero_point": 113},
      {"name": "b", "output_dtype": "uint16", "y_scale": 0.25},
      {"name": "c", "output_dtype": "int8", "y_scale": 0.25, "y_zero_point": -7},
      {"name": "d", "output_dtype": "int2", "y_scale": [0.5, 0.25, 3.0], "axis": 1},
      {"name": "e", "output_dtype": "uint4", "y_scale": [0.5, 0.25], "y_zero_point": [3, 0],
       "axis": 0},
      {"name": "f", "output_dtype": "int4", "y_scale": [[[0.5]], [[0.25]]], "axis": 1,
       "block_size": 16},
      {"name": "g", "output_dtype": "int4", "per_block_int_scale": [[[1]], [[16]]],
       "per_channel_float_scale": [[[0.5]], [[0.25]]], "axis": -2, "block_size": 32},
      {"name": "h", "output_dtype": "int32", "y_scale": [1e-9, 2e-9], "axis": 0},
      {"name": "i", "output_dtype": "float8e4m3fn", "y_scale": 0.5},
      {"name": "j", "output_dtype": "uint8"}]})";
    const EncodingsFile file = parse_encodings(text, "text");
    CHECK(Json::parse(encodings_text(file)) == Json::parse(text));
    CHECK(parse_encodings(encodings_text(file), "text") == file);
    REQUIRE(file.activations.size() == 10);
    CHECK(file.activations[0].offset.at(0) == -113);  // of codes 0..255
    CHECK(file.activations[0].min.at(0) == doctest::Approx(-113 * 0.0186));
    CHECK(file.activations[2].offset.at(0) == -121);  // -7 of codes -128..127
    CHECK(file.activations[2].max.at(0) == doctest::Approx(134 * 0.25));
    CHECK(file.activations[3].is_symmetric);
    CHECK(file.activations[3].offset == std::vector<std::int64_t>{-2, -2, -2});
    CHECK_FALSE(file.activations[4].is_symmetric);
    CHECK(file.activations[6].type == EncodingType::lpbq);
    CHECK(file.activations[6].bitwidth == 8);
  }

  TEST_CASE("what version 2.0.0 cannot express is refused with the tensor's name") {
    EncodingsFile file{.version = EncodingsVersion::v2_0_0};
    const auto message = [&](const TensorEncoding& encoding) {
      file.parameters = {encoding};
      return message_of([&] { encodings_text(file); });
    };
    TensorEncoding odd = int8("conv.weight");
    odd.bitwidth = 5;
    CHECK(message(odd).starts_with("encodings: \"conv.weight\" has unsigned 5 bits"));
    TensorEncoding lost = int8("conv.weight");
    lost.type = EncodingType::per_channel;
    lost.scale = lost.min = lost.max = {1, 1};
    lost.offset = {-128, -128};
    CHECK(message(lost) == "encodings: \"conv.weight\" has no axis, which version 2 needs");
    lost.type = EncodingType::per_block;
    CHECK(message(lost).starts_with("encodings: \"conv.weight\" has 2 blocks"));
    lost.type = EncodingType::lpbq;
    lost.compressed_bitwidth = 3;
    lost.bitwidth = 8;
    lost.per_block_int_scale = {1, 2};
    CHECK(message(lost).find("\"conv.weight\"") != std::string::npos);
    TensorEncoding range_only = int8("x");
    range_only.scale.clear();
    range_only.offset.clear();
    CHECK(message(range_only).starts_with("encodings: \"x\" has a range, but no scale"));
    TensorEncoding float8{.name = "x", .dtype = EncodingDtype::floating, .bitwidth = 8};
    CHECK(message(float8).starts_with("encodings: \"x\" is a float of 8 bits without a type"));
  }

  TEST_CASE("a wrong entry is refused with its place") {
    const auto message = [](const std::string& entry) {
      return message_of([&] {
        parse_encodings(R"({"version":"2.0.0","encodings":[)" + entry + "]}", "net.encodings");
      });
    };
    CHECK(message(R"({"name":"x","output_dtype":"int7"})")
              .starts_with("net.encodings: encodings[0].output_dtype must be int2, int4"));
    CHECK(message(R"({"name":"x","output_dtype":"uint32"})").find("uint32") != std::string::npos);
    CHECK(message(R"({"name":"x","output_dtype":"uint8","y_scale":1,"y_zero_point":256})") ==
          "net.encodings: encodings[0].y_zero_point must be an integer in [0, 255], got 256");
    CHECK(message(R"({"name":"x","output_dtype":"int8","y_scale":[1,2],"axis":0,
                      "y_zero_point":[1]})") ==
          "net.encodings: encodings[0].y_zero_point is not nested as y_scale is");
    CHECK(message(R"({"name":"x","output_dtype":"int8","y_scale":[1,2]})") ==
          "net.encodings: encodings[0] has no \"axis\"");
    CHECK(message(R"({"name":"x","output_dtype":"int8","y_scale":[[1],[2,3]],"axis":1,
                      "block_size":2})") ==
          "net.encodings: encodings[0].y_scale[1] is not nested as element 0 is");
    CHECK(message(R"({"name":"x","output_dtype":"int8","y_scale":[[1],[2]],"axis":1})") ==
          "net.encodings: encodings[0] has nested scales, but no block_size");
    CHECK(message(R"({"name":"x","output_dtype":"int8","y_scale":[],"axis":1})") ==
          "net.encodings: encodings[0].y_scale is empty");
    CHECK(message(R"({"name":"x","output_dtype":"int8","y_scale":0})") ==
          "net.encodings: encodings[0].y_scale must be larger than 0");
    CHECK(message(R"({"name":"x","output_dtype":"int4","per_block_int_scale":[[17]],
                      "per_channel_float_scale":[1],"axis":1,"block_size":2})")
              .starts_with("net.encodings: encodings[0].per_block_int_scale[0][0] must be"));
    CHECK(message(R"({"name":"x","output_dtype":"uint4","per_block_int_scale":[[1]],
                      "per_channel_float_scale":[1],"axis":1,"block_size":2})")
              .starts_with("net.encodings: encodings[0].output_dtype must be int2"));
    CHECK(message(std::string(R"({"name":"x","output_dtype":"int8","axis":0,"y_scale":)") +
                  std::string(9, '[') + "1" + std::string(9, ']') + "}")
              .find("nested deeper than 8 levels") != std::string::npos);
  }

  TEST_CASE("a damaged file gives an Error, never a crash") {
    EncodingsFile file = parse_encodings(
        golden_text("export_folded_default_config_per_channel_1.0.0", "net.encodings"), "text");
    file.version = EncodingsVersion::v2_0_0;
    file.quantizer_args.reset();
    for (TensorEncoding& encoding : file.parameters) encoding.axis = 0, encoding.is_signed = true;
    const std::string text = encodings_text(file);
    CHECK(parse_encodings(text, "text").activations.size() ==
          file.activations.size() + file.parameters.size());
    std::uint64_t state = 3;
    for (int i = 0; i < 2000; ++i) {
      const std::string bytes = iotest::damaged(text, text.size(), state);
      try {
        (void)encodings_text(parse_encodings(bytes, "text"));
      } catch (const rung::Error&) {
      }
    }
  }
}

TEST_SUITE("io encodings") {
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
