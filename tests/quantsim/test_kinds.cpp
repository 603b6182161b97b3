// Files of sims with quantizers of other kinds: blocks, grouped blocks (LPBQ), floats, learned
// steps.

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/quantsim/config_utils.h"
#include "rung/quantsim/quantsim.h"
#include "support/quantsim_files.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;
using Json = nlohmann::json;

namespace {

void replace(QuantizationSimModel& sim, std::string_view name,
             std::unique_ptr<Quantizer> quantizer) {
  replace_quantizer(sim.graph(), sim.quantizer(name), std::move(quantizer));
}

constexpr Blocks kFcBlocks{.axis = 1, .size = 16, .count = 3};  // of 48 features
constexpr Blocks kConvBlocks{.axis = 1, .size = 1, .count = 3};

std::unique_ptr<Quantizer> grouped(std::int64_t grouping = -1) {
  return std::make_unique<GroupedBlockQuantizer>(
      QuantizerOptions{.bitwidth = 4,
                       .symmetry = Symmetry::symmetric,
                       .axis = 0,
                       .channels = 4,
                       .blocks = kFcBlocks},
      GroupedBlockOptions{.decompressed_bw = 8, .block_grouping = grouping});
}

/// fc.weight in grouped blocks, conv2.weight in blocks, conv3.weight with a learned step, relu1 in
/// half precision.
QuantizationSimModel mixed_sim() {
  QuantizationSimModel sim(small_net(), {.quant_scheme = QuantScheme::post_training_tf});
  replace(sim, "fc.weight", grouped());
  replace(sim, "conv2.weight",
          std::make_unique<AffineQuantizer>(QuantizerOptions{
              .symmetry = Symmetry::symmetric, .axis = 0, .channels = 3, .blocks = kConvBlocks}));
  replace(sim, "conv3.weight",
          std::make_unique<LsqQuantizer>(
              QuantizerOptions{.symmetry = Symmetry::symmetric, .axis = 0, .channels = 3}));
  replace(sim, "relu1", std::make_unique<FloatQuantizer>(kFloat16));
  return sim;
}

}  // namespace

TEST_SUITE("quantsim: files of all kinds of quantizers") {
  TEST_CASE("calibration leaves floats alone, and trains a learned step without its offset") {
    QuantizationSimModel sim = mixed_sim();
    calibrate_small_net(sim);
    CHECK_NOTHROW(run_small_net(sim));
    sim.quantizer("conv3.weight").set_learned(true);
    CHECK(sim.graph().parameter("conv3.weight.qdq.scale").requires_grad());
    CHECK_FALSE(sim.graph().parameter("conv3.weight.qdq.offset").requires_grad());
    sim.quantizer("conv3.weight").set_learned(false);
    CHECK_FALSE(sim.graph().parameter("conv3.weight.qdq.scale").requires_grad());
  }

  TEST_CASE("blocks, grouped blocks, floats and learned steps come back from every file") {
    QuantizationSimModel sim = mixed_sim();
    calibrate_small_net(sim);
    const std::string expected = fingerprint_encodings(sim);
    for (const char* version : {"1.0.0", "2.0.0", "2.1.0"})
      for (const bool by_module : {false, true}) {
        CAPTURE(version);
        CAPTURE(by_module);
        QuantizationSimModel other = mixed_sim();
        other.load_encodings(exported(sim, version, by_module), {.require_all = true});
        CHECK(fingerprint_encodings(other) == expected);
        CHECK(run_small_net(other) == run_small_net(sim));
      }
    // A file by module lists the scales of all blocks: the quantizer knows how they lie.
    const TemporaryFolder folder;
    QuantizationSimModel other = mixed_sim();
    other.load_encodings(sim.save_encodings_to_json(folder.path(), "net"), {.require_all = true});
    CHECK(fingerprint_encodings(other) == expected);
    CHECK_THROWS_WITH_AS(sim.export_to("/nowhere", "net", {.encodings_version = "0.6.1"}),
                         doctest::Contains("weight\" is quantized in blocks"), Error);
  }

  TEST_CASE("entries of blocks and grouped blocks say what the encodings are made of") {
    QuantizationSimModel sim = mixed_sim();
    calibrate_small_net(sim);
    const Encoding lpbq = sim.quantizer("fc.weight").encoding();
    const Encoding blocks = sim.quantizer("conv2.weight").encoding();
    REQUIRE(lpbq.grouped);

    const std::string text = exported(sim, "1.0.0", false);
    const Json old = entry_of(Json::parse(text), "fc.weight");
    CHECK(old.at("enc_type") == "LPBQ");
    CHECK(old.at("bw") == 8);
    CHECK(old.at("compressed_bw") == 4);
    CHECK(old.at("block_size") == 16);
    CHECK(old.at("scale").get<std::vector<float>>() == lpbq.grouped->per_channel_scale);
    CHECK(old.at("offset") == Json::array({-128, -128, -128, -128}));
    CHECK(old.at("per_block_int_scale").get<std::vector<std::int64_t>>() ==
          lpbq.grouped->per_block_int_scale);
    CHECK(entry_of(Json::parse(text), "conv2.weight").at("enc_type") == "PER_BLOCK");
    CHECK(entry_of(Json::parse(text), "conv2.weight").at("scale").get<std::vector<float>>() ==
          blocks.scale);
    CHECK(entry_of(Json::parse(text), "relu1") ==
          Json({{"name", "relu1"}, {"bw", 16}, {"dtype", "FLOAT"}, {"enc_type", "PER_TENSOR"}}));

    const std::string flat = exported(sim, "2.0.0", false);
    const Json now = entry_of(Json::parse(flat), "fc.weight");
    CHECK(now.at("output_dtype") == "int4");
    CHECK(now.at("axis") == 1);
    CHECK(now.at("block_size") == 16);
    CHECK(now.at("per_block_int_scale").size() == 4);  // [4][3]
    CHECK(now.at("per_block_int_scale")[0].size() == 3);
    CHECK(now.at("per_channel_float_scale")[0].size() == 1);  // [4][1]
    const Json newest = entry_of(Json::parse(exported(sim, "2.1.0", false)), "fc.weight");
    CHECK(newest.at("y_scale").at("x") == now.at("per_block_int_scale"));
    CHECK(newest.at("y_scale").at("x_scale").get<std::vector<float>>() ==
          lpbq.grouped->per_channel_scale);
    CHECK(newest.at("y_scale").at("axis") == -2);
    const Json conv = entry_of(Json::parse(flat), "conv2.weight").at("y_scale");  // [3][3][1][1]
    CHECK(conv.size() == 3);
    CHECK(conv[1][2][0][0].get<float>() == blocks.scale.at(5));
    CHECK(entry_of(Json::parse(flat), "relu1") ==
          Json({{"name", "relu1"}, {"output_dtype", "float16"}}));
  }

  TEST_CASE("grouped blocks with several groups per channel come back, too") {
    QuantizationSimModel sim(small_net()), other(small_net());
    const auto two_groups = [] {
      return std::make_unique<GroupedBlockQuantizer>(
          QuantizerOptions{.bitwidth = 4,
                           .symmetry = Symmetry::symmetric,
                           .axis = 0,
                           .channels = 4,
                           .blocks = Blocks{.axis = 1, .size = 12, .count = 4}},
          GroupedBlockOptions{.decompressed_bw = 8, .block_grouping = 2});
    };
    replace(sim, "fc.weight", two_groups());
    replace(other, "fc.weight", two_groups());
    calibrate_small_net(sim);
    for (const char* version : {"1.0.0", "2.0.0"}) {
      other.load_encodings(exported(sim, version, false), {.require_all = true});
      CHECK(fingerprint_encodings(other) == fingerprint_encodings(sim));
    }
  }

  TEST_CASE("the int32 bias of blocks has the largest scale, of grouped blocks the float scale") {
    QuantizationSimModel sim = mixed_sim();
    replace(sim, "relu1", std::make_unique<AffineQuantizer>());
    calibrate_small_net(sim);
    const std::string text = exported(sim, "2.0.0", false);
    const float x = sim.quantizer("relu1").encoding().scale.at(0);
    const std::vector<float> blocks = sim.quantizer("conv2.weight").encoding().scale;
    const Json conv = entry_of(Json::parse(text), "conv2.bias").at("y_scale");
    REQUIRE(conv.size() == 3);
    for (std::size_t c = 0; c < 3; ++c)
      CHECK(conv[c].get<float>() ==
            x * std::max({blocks[3 * c], blocks[3 * c + 1], blocks[3 * c + 2]}));
    const Json fc = entry_of(Json::parse(text), "fc.bias").at("y_scale");
    const float add = sim.quantizer("add").encoding().scale.at(0);
    for (std::size_t c = 0; c < 4; ++c)
      CHECK(fc[c].get<float>() ==
            add * sim.quantizer("fc.weight").encoding().grouped->per_channel_scale.at(c));
  }

  TEST_CASE("a bias behind a float has no int32 encoding") {
    QuantizationSimModel sim = mixed_sim();
    calibrate_small_net(sim);
    const std::string text = exported(sim, "2.0.0", false);
    CHECK(entry_of(Json::parse(text), "conv2.bias").is_null());
    CHECK_FALSE(entry_of(Json::parse(text), "fc.bias").is_null());
  }

  TEST_CASE("an entry of another data type or granularity is refused by name") {
    QuantizationSimModel mixed = mixed_sim(), plain(small_net());
    calibrate_small_net(mixed);
    calibrate_small_net(plain);
    const std::string before = fingerprint(plain);
    const auto message = [](QuantizationSimModel& sim, const std::string& entry) {
      try {
        sim.load_encodings(R"({"version": "2.0.0", "encodings": [)" + entry + "]}");
      } catch (const Error& error) {
        return std::string(error.what());
      }
      return std::string("no Error");
    };
    CHECK(message(plain, R"({"name": "relu1", "output_dtype": "float16"})") ==
          "encodings: the entry \"relu1\" is a float of 16 bits; the quantizer is not");
    CHECK(message(mixed, R"({"name": "relu1", "output_dtype": "bfloat16"})") ==
          "encodings: the entry \"relu1\" is bfloat16; the quantizer has the format float16");
    CHECK(message(mixed, R"({"name": "relu1", "output_dtype": "uint8", "y_scale": 0.1})") ==
          "encodings: the entry \"relu1\" is an integer of 8 bits; the quantizer is a float");
    CHECK(message(plain,
                  entry_of(Json::parse(exported(mixed, "2.0.0", false)), "fc.weight").dump()) ==
          "encodings: the entry \"fc.weight\" is LPBQ with 8 bits decompressed; the quantizer is "
          "not");
    CHECK(message(plain,
                  entry_of(Json::parse(exported(mixed, "2.0.0", false)), "conv2.weight").dump())
              .find("\"conv2.weight\" has 9 scales, the quantizer has 3") != std::string::npos);
    // Scales that are no whole multiples of one of the group.
    CHECK(message(mixed, R"({"name": "fc.weight", "output_dtype": "int4", "axis": 1,
        "block_size": 16, "y_scale": [[1.0, 0.33, 0.5], [1, 1, 1], [1, 1, 1], [1, 1, 1]]})")
              .find("\"fc.weight\" has the scale 0.33 at block 1, which grouping makes 0.3125") !=
          std::string::npos);
    CHECK(message(mixed, R"({"name": "fc.weight", "output_dtype": "int4", "axis": 0,
        "block_size": 16, "y_scale": [[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]]})")
              .find("\"fc.weight\" has its scales along axis 0") != std::string::npos);
    CHECK(message(mixed, R"({"name": "fc.weight", "output_dtype": "int4", "axis": 1,
        "block_size": 12, "y_scale": [[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]]})")
              .find("\"fc.weight\" has blocks of 12") != std::string::npos);
    CHECK(fingerprint(plain) == before);
  }

  TEST_CASE("a checkpoint keeps every kind of quantizer") {
    QuantizationSimModel sim = mixed_sim();
    calibrate_small_net(sim);
    const TemporaryFolder folder;
    save_checkpoint(sim, folder.path("sim.rung"));
    QuantizationSimModel back = load_checkpoint(folder.path("sim.rung"));
    CHECK(fingerprint(back) == fingerprint(sim));
    CHECK(run_small_net(back) == run_small_net(sim));
  }
}
