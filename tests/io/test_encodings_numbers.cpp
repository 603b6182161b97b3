// Numbers in encodings files: how they may be written, and what float32 does not hold.

#include <string>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/encodings.h"
#include "support/message_of.h"

using namespace rung::io;

TEST_SUITE("io: numbers of encodings") {
  TEST_CASE("offsets may be written as aimet-onnx writes them, with a point") {
    const auto file = [](const std::string& offset) {
      return R"({"version":"1.0.0","activation_encodings":[{"name":"x","dtype":"INT",
          "enc_type":"PER_TENSOR","bw":8,"is_sym":false,"scale":[0.1],"offset":[)" +
             offset + R"(]}],"param_encodings":[]})";
    };
    CHECK(parse_encodings(file("-130.0"), "text") == parse_encodings(file("-130"), "text"));
    CHECK(message_of([&] { parse_encodings(file("-130.5"), "text"); }) ==
          "text: activation_encodings[0].offset[0] must be an integer, got number");
    CHECK(message_of([&] { parse_encodings(file("-1e300"), "text"); }) ==
          "text: activation_encodings[0].offset[0] must be an integer, got number");
  }

  TEST_CASE("numbers that float32 does not hold are named") {
    const auto file = [](const std::string& scale) {
      return R"({"version":"2.0.0","encodings":[{"name":"x","output_dtype":"uint8","y_scale":)" +
             scale + R"(,"y_zero_point":128}]})";
    };
    CHECK(message_of([&] { parse_encodings(file("1e300"), "text"); }) ==
          "text: encodings[0].y_scale must be a number that float32 holds, got 1e+300");
    CHECK(message_of([&] { parse_encodings(file("1e37"), "text"); }) ==
          "text: encodings[0] has the scale 1e+37, 255 steps of which are more than float32 holds");
    CHECK_NOTHROW(parse_encodings(file("1e36"), "text"));
    CHECK(message_of([&] {
            parse_encodings(R"({"version":"0.6.1","param_encodings":{},"activation_encodings":{
                "x":[{"dtype":"int","bitwidth":8,"is_symmetric":"False","min":-1e39,"max":1}]}})",
                            "text");
          }) ==
          "text: activation_encodings.x[0].min must be a number that float32 holds, got "
          "-1e+39");
  }
}
