// Version 2.1.0 of encodings files: as 2.0.0, but for low power block quantization.

#include <nlohmann/json.hpp>
#include <string>

#include "doctest/doctest.h"
#include "golden/golden.h"
#include "rung/core/error.h"
#include "rung/io/encodings.h"
#include "support/io_helpers.h"

using namespace rung::io;
using Json = nlohmann::json;

namespace {

const std::string kText = R"({"version": "2.1.0", "encodings": [
  {"name": "a", "output_dtype": "uint8", "y_scale": 0.5, "y_zero_point": 113},
  {"name": "b.weight", "output_dtype": "int4", "axis": 1, "block_size": 4,
   "y_scale": {"x": [[[[1]], [[16]]], [[[3]], [[2]]], [[[5]], [[6]]]],
               "x_scale": [0.5, 0.25, 0.125], "axis": -4}},
  {"name": "c.weight", "output_dtype": "int4", "axis": 0, "block_size": 32,
   "y_scale": {"x": [[1, 16, 4], [3, 2, 1]], "x_scale": [0.5, 0.25, 0.125], "axis": -1}},
  {"name": "d.weight", "output_dtype": "int8", "y_scale": [0.5, 0.25], "axis": 0}],
  "producer": {"package": "aimet-torch", "version": "2.42.0"}})";

std::string message_of_entry(const std::string& entry) {
  return message_of([&] {
    parse_encodings(R"({"version":"2.1.0","encodings":[)" + entry + "]}", "net.encodings");
  });
}

/// Returns the message for an entry of three channels of two blocks, with this part changed.
std::string message_with(const std::string& pointer, const Json& value) {
  Json entry = Json::parse(R"({"name": "x", "output_dtype": "int4", "axis": 1, "block_size": 4,
    "y_scale": {"x": [[1, 2], [3, 4], [5, 6]], "x_scale": [0.5, 0.25, 1.0], "axis": -2}})");
  entry[Json::json_pointer(pointer)] = value;
  return message_of_entry(entry.dump());
}

}  // namespace

TEST_SUITE("io encodings 2.1.0") {
  TEST_CASE("what is read and written again is the same JSON") {
    const EncodingsFile file = parse_encodings(kText, "text");
    CHECK(Json::parse(encodings_text(file)) == Json::parse(kText));
    CHECK(parse_encodings(encodings_text(file), "text") == file);
    REQUIRE(file.activations.size() == 4);
    const TensorEncoding& blocks = file.activations[1];
    CHECK(blocks.type == EncodingType::lpbq);
    CHECK(blocks.bitwidth == 8);
    CHECK(blocks.compressed_bitwidth == 4);
    CHECK(blocks.scale == std::vector<double>{0.5, 0.25, 0.125});
    CHECK(blocks.per_block_int_scale == std::vector<std::int64_t>{1, 16, 3, 2, 5, 6});
    CHECK(file.producer == Producer{"aimet-torch", "2.42.0"});
  }

  TEST_CASE("a file of one version can be written as the other") {
    EncodingsFile file = parse_encodings(kText, "text");
    file.version = EncodingsVersion::v2_0_0;
    const Json older = Json::parse(encodings_text(file));
    CHECK(older.at("encodings")[1] == Json::parse(R"(
      {"name": "b.weight", "output_dtype": "int4", "axis": 1, "block_size": 4,
       "per_block_int_scale": [[[[1]], [[16]]], [[[3]], [[2]]], [[[5]], [[6]]]],
       "per_channel_float_scale": [[[[0.5]]], [[[0.25]]], [[[0.125]]]]})"));
    EncodingsFile back = parse_encodings(older.dump(), "text");
    back.version = EncodingsVersion::v2_1_0;
    CHECK(Json::parse(encodings_text(back)) == Json::parse(kText));
  }

  TEST_CASE("AIMET's files of blocks keep every value when read and written again") {
    golden::Report report("io encodings 2.1.0: AIMET's files of blocks");
    for (const char* name :
         {"lpbq_2.0.0", "lpbq_2.1.0", "w4a8_blocks_2.0.0", "w4a8_blocks_2.1.0"}) {
      CAPTURE(name);
      std::string path(golden::kAimet242);
      path.append("export/variants/").append(name).append(".encodings");
      const std::string text = golden::bytes(path);
      const EncodingsFile file = parse_encodings(text, name);
      CHECK(Json::parse(encodings_text(file)) == Json::parse(text));
      report.add(file.activations.size());
    }
  }

  TEST_CASE("groups of blocks have no place in version 2.1.0") {
    EncodingsFile file = parse_encodings(kText, "text");
    file.activations[1].scale.push_back(1.0);
    file.activations[1].scale.insert(file.activations[1].scale.end(), {1.0, 1.0});
    file.activations[1].offset.assign(6, -128);
    CHECK(message_of([&] { encodings_text(file); }).find("use 2.0.0") != std::string::npos);
  }

  TEST_CASE("a wrong entry is refused with its place") {
    CHECK(message_with("/y_scale/x_scale", 0.5) ==
          "net.encodings: encodings[0].y_scale.x_scale must be an array, got number");
    CHECK(message_with("/y_scale/x_scale", {0.5, 0.25}) ==
          "net.encodings: encodings[0].y_scale.x_scale has 2 numbers for 3 channels");
    CHECK(message_with("/y_scale/x_scale/1", -0.5) ==
          "net.encodings: encodings[0].y_scale.x_scale[1] must be larger than 0");
    CHECK(message_with("/y_scale/x/1", {3}) ==
          "net.encodings: encodings[0].y_scale.x[1] is not nested as element 0 is");
    CHECK(message_with("/y_scale/x/0/0", 17) ==
          "net.encodings: encodings[0].y_scale.x[0][0] must be an integer in [1, 16], got 17");
    CHECK(message_with("/y_scale/x/0/0", 0.5).find("y_scale.x[0][0] must be an integer") !=
          std::string::npos);
    CHECK(
        message_with("/y_scale/axis", 1) ==
        "net.encodings: encodings[0].y_scale.axis is the axis of the blocks, not of the channels");
    CHECK(message_with("/y_scale/axis", -3).find("y_scale.axis must be an integer in [-2, 1]") !=
          std::string::npos);
    CHECK(message_with("/axis", 2).find("axis must be an integer in") != std::string::npos);
    CHECK(message_with("/block_size", 0).find("block_size must be") != std::string::npos);
    CHECK(message_with("/output_dtype", "uint4").find("must be int2, int4, int8 or int16") !=
          std::string::npos);
    CHECK(message_with("/y_scale/x_zero_point", 1) ==
          "net.encodings: encodings[0].y_scale has \"x_zero_point\"; read are x, x_scale and axis");
    CHECK(message_with("/y_zero_point", 1) ==
          "net.encodings: encodings[0] has LPBQ scales, which have no zero points");
    CHECK(message_with("/y_scale/x", 3).find("no block_size") != std::string::npos);
    CHECK(message_with("/y_scale", Json::object()) ==
          "net.encodings: encodings[0].y_scale has no \"x\"");
    CHECK(message_of_entry(R"({"name":"x","output_dtype":"int4","axis":1,"block_size":2,
      "y_scale":{"x":[[[1],[2]],[[1],[2]]],"x_scale":[1,1],"axis":2}})")
              .find("y_scale.x_scale has 2 numbers for 1 channels") != std::string::npos);
    CHECK(message_of_entry(R"({"name":"x","output_dtype":"int4","axis":1,"block_size":2,
      "y_scale":{"x":[[[1,1],[2,2]],[[1,1],[2,2]]],"x_scale":[1,1],"axis":0}})")
              .find("blocks along more axes") != std::string::npos);
    CHECK(message_of([&] {
            parse_encodings(R"({"version":"2.1.0","encodings":[],"producer":3})", "net.encodings");
          }).starts_with("net.encodings: producer must be an object"));
  }

  TEST_CASE("a damaged file gives an Error, never a crash") {
    std::uint64_t state = 5;
    for (int i = 0; i < 4000; ++i) {
      const std::string bytes = iotest::damaged(kText, kText.size(), state);
      try {
        (void)encodings_text(parse_encodings(bytes, "text"));
      } catch (const rung::Error&) {
      }
    }
  }
}
