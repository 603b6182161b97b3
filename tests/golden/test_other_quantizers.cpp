// AIMET's grouped block and floating-point quantizers, one at a time.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden.h"
#include "rung/quant/quantizer.h"

using namespace rung;

namespace {

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
  });
}

Shape shape_of(const golden::Tensor& tensor) { return Shape(tensor.shape); }

/// Compares the scales that min and max give, and what becomes of x.
void check_grouped(const nlohmann::json& c, const golden::Tensors& tensors,
                   golden::Report& report) {
  const std::string name = c.at("name");
  const golden::Tensor& x = tensors.at(name + ".x");
  const std::vector<std::int64_t> block_size = c.at("block_size");
  const std::vector<std::int64_t> grouping = c.at("block_grouping");
  REQUIRE(x.shape.size() == 2);
  REQUIRE(block_size[0] == 1);
  REQUIRE(grouping[0] == 1);
  const GroupedBlockQuantizer quantizer(
      {.bitwidth = c.at("bitwidth"),
       .symmetry = Symmetry::symmetric,
       .axis = 0,
       .channels = x.shape[0],
       .blocks = Blocks{1, block_size[1], x.shape[1] / block_size[1]}},
      {.decompressed_bw = c.at("decompressed_bw"), .block_grouping = grouping[1]});
  const std::vector<std::span<const float>> parameters = {tensors.floats(name + ".min"),
                                                          tensors.floats(name + ".max")};
  CHECK(Shape(tensors.at(name + ".min").shape) == quantizer.parameters()[0].shape);
  const Encoding encoding = quantizer.encoding(parameters);
  CHECK(same_bits(encoding.scale, tensors.floats(name + ".scale")));
  std::vector<float> y(x.floats.size());
  quantizer.forward({x.floats, shape_of(x), parameters, y});
  CHECK(same_bits(y, tensors.floats(name + ".y")));
  report.add(encoding.scale.size() + y.size());

  // The two levels of scales say the same as the scales.
  REQUIRE(encoding.grouped);
  const std::size_t blocks = encoding.scale.size() / encoding.grouped->per_channel_scale.size();
  const auto largest = std::int64_t{1} << (encoding.grouped->decompressed_bw - encoding.bitwidth);
  for (std::size_t i = 0; i < encoding.scale.size(); ++i) {
    const std::int64_t whole = encoding.grouped->per_block_int_scale[i];
    CHECK(whole >= 1);
    CHECK(whole <= largest);
    CHECK(static_cast<float>(whole) * encoding.grouped->per_channel_scale[i / blocks] ==
          encoding.scale[i]);
  }
}

void check_float(const nlohmann::json& c, const golden::Tensors& tensors, golden::Report& report) {
  const std::string name = c.at("name");
  REQUIRE(c.at("maxval").is_null());
  const FloatFormat& format = name == "fp16"       ? kFloat16
                              : name == "bf16"     ? kBfloat16
                              : name == "fp8_e4m3" ? kFloat8E4m3
                                                   : kFloat8E5m2;
  CHECK(format.exponent_bits == c.at("exponent_bits").get<int>());
  CHECK(format.mantissa_bits == c.at("mantissa_bits").get<int>());
  const golden::Tensor& x = tensors.at(name + ".x");
  const FloatQuantizer quantizer(format);
  std::vector<float> y(x.floats.size()), dx(x.floats.size());
  quantizer.forward({x.floats, shape_of(x), {}, y});
  CHECK(same_bits(y, tensors.floats(name + ".y")));
  report.add(y.size());

  // AIMET's 8-bit formats pass no gradient at all (torch.round has none), which is of no use in
  // training: there ours is straight-through instead, with the clipped numbers masked.
  const std::span<const float> golden_dx = tensors.floats(name + ".dx");
  const std::vector<float> dy(x.floats.size(), 1.0f);
  quantizer.backward({x.floats, dy, shape_of(x), {}, dx, {}});
  if (!format.saturates) {
    CHECK(std::ranges::equal(dx, golden_dx));
    report.add(dx.size());
    return;
  }
  for (std::size_t i = 0; i < dx.size(); ++i) {
    CHECK(golden_dx[i] == 0.0f);
    CHECK(dx[i] == (std::fabs(x.floats[i]) <= format.max ? 1.0f : 0.0f));
  }
}

}  // namespace

TEST_SUITE("golden quantizers: other_quantizers") {
  TEST_CASE("grouped blocks and floating-point formats give AIMET's numbers bit for bit") {
    golden::Report report("golden quantizers: other_quantizers");
    const auto tensors = golden::tensors("quantizers/other_quantizers.safetensors");
    for (const auto& c : golden::cases("quantizers/other_quantizers.json")) {
      CAPTURE(c.dump());
      const std::string kind = c.at("kind");
      REQUIRE((kind == "lpbq" || kind == "float"));
      kind == "lpbq" ? check_grouped(c, tensors, report) : check_float(c, tensors, report);
    }
    golden::check_all_used(tensors);
  }
}
