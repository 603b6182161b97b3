#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden.h"
#include "quant/channels.h"
#include "quant/on_grid.h"
#include "rung/quant/encoding.h"
#include "rung/quant/fake_quantize.h"
#include "rung/quant/range_estimator.h"
#include "rung/quant/registry.h"

// AIMET's own numbers for one quantizer at a time.

namespace {

using rung::Encoding;
using rung::Grid;
using rung::Range;
using rung::Shape;
using rung::Symmetry;

Symmetry symmetry_of(const nlohmann::json& c) {
  return c.at("symmetric").get<bool>() ? Symmetry::symmetric : Symmetry::asymmetric;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
  });
}

/// How a case's quantizer cuts its tensor: AIMET's quantizer shape has an extent for every axis
/// from the right, block_size says how many elements of an axis share one.
rung::Granularity granularity_of(const nlohmann::json& c) {
  const std::vector<std::int64_t> shape = c.at("x_shape"), quantizer = c.at("quantizer_shape");
  REQUIRE(quantizer.size() <= shape.size());
  const std::size_t skipped = shape.size() - quantizer.size();
  rung::Granularity cut;
  for (std::size_t i = 0; i < quantizer.size(); ++i) {
    if (quantizer[i] == 1) continue;
    const auto axis = static_cast<std::int64_t>(i + skipped);
    const std::int64_t size = shape[i + skipped] / quantizer[i];
    if (!c.at("block_size").is_null())
      CHECK(c.at("block_size").at(i).get<std::int64_t>() == size);
    else
      REQUIRE(size == 1);
    if (size == 1) {
      REQUIRE_FALSE(cut.axis);
      cut.axis = axis;
      cut.channels = quantizer[i];
    } else {
      REQUIRE_FALSE(cut.blocks);
      cut.blocks = rung::Blocks{axis, size, quantizer[i]};
    }
  }
  return cut;
}

constexpr rung::GridRules kRules242{.use_all_two_bit_codes = true, .limit_encodings = true};

/// Shows the batches of each case to its estimator, one per channel.
void check_range_estimators(const std::string& folder, const rung::GridRules& rules,
                            const std::string& suite) {
  golden::Report report(suite);
  const auto tensors = golden::tensors(folder + "quantizers/range_estimators.safetensors");
  double worst = 0.0;
  for (const auto& c : golden::cases(folder + "quantizers/range_estimators.json")) {
    const std::string key = c.at("key"), data = c.at("data"), estimator = c.at("estimator");
    CAPTURE(key);
    const std::string prefix = "percentile_";
    const auto prototype = estimator.starts_with(prefix)
                               ? rung::make_percentile(std::stod(estimator.substr(prefix.size())))
                               : rung::make_range_estimator(estimator);
    const auto golden_min = tensors.floats(key + ".min"), golden_max = tensors.floats(key + ".max");
    REQUIRE(golden_min.size() == golden_max.size());
    const std::size_t channels = golden_min.size();
    const Symmetry symmetry = symmetry_of(c);
    const Grid grid = rung::make_grid(c.at("bitwidth"), symmetry, rules);
    for (std::size_t k = 0; k < channels; ++k) {
      CAPTURE(k);
      const auto one = prototype->clone();
      for (int b = 0; b < c.at("batches").get<int>(); ++b) {
        const auto& batch = tensors.at(data + ".batch" + std::to_string(b));
        if (channels > 1) REQUIRE(batch.shape.at(0) == static_cast<std::int64_t>(channels));
        const std::size_t row = batch.floats.size() / channels;
        rung::observe(*one, std::span<const float>(batch.floats).subspan(k * row, row));
      }
      const Range range = one->estimate(grid, symmetry);
      const double width = double(golden_max[k]) - golden_min[k];
      const double error = std::max(std::abs(double(range.min) - golden_min[k]),
                                    std::abs(double(range.max) - golden_max[k])) /
                           width;
      CHECK(error < 1e-6);
      worst = std::max(worst, error);
      if (!tensors.contains(key + ".scale")) continue;
      const Encoding encoding = rung::encoding_from_range(range, c.at("bitwidth"), symmetry);
      const double scale = tensors.floats(key + ".scale")[k];
      CHECK(std::abs(encoding.scale[0] / scale - 1) <= 1e-6);
      CHECK(double(encoding.offset[0]) == double(tensors.floats(key + ".offset")[k]));
      report.add(2);
    }
    report.add(2 * channels);
  }
  golden::check_all_used(tensors);
  char text[64];
  std::snprintf(text, sizeof text, "worst error %.1e of the width", worst);
  report.note(text);
}

/// Rounds each case's parameter with the scale of the grid that it lies on, or of min-max.
void check_on_grid(const nlohmann::json& c, const golden::Tensors& tensors,
                   golden::Report& report) {
  const std::string name = c.at("name");
  CAPTURE(name);
  const golden::Tensor& w = tensors.at(name + ".w");
  const Shape shape(w.shape);
  nlohmann::json cut = c;
  cut["x_shape"] = w.shape;
  const rung::Granularity granularity = granularity_of(cut);
  const int bitwidth = c.at("bitwidth");
  const Symmetry symmetry = symmetry_of(c);
  const Grid grid = rung::make_grid(bitwidth, symmetry, kRules242);
  const auto scale = tensors.floats(name + ".scale"),
             min_max_scale = tensors.floats(name + ".min_max_scale"),
             y = tensors.floats(name + ".y");
  const auto found = rung::ranges_of_grid(w.floats, shape, granularity, grid);
  CHECK(c.at("kept_grid").get<bool>() == !std::ranges::equal(scale, min_max_scale));
  if (c.at("kept_grid")) REQUIRE(found);
  std::vector<std::vector<float>> blocks(scale.size());
  rung::for_each_run(rung::ChannelRuns(shape, granularity), std::span<const float>(w.floats),
                     [&](std::size_t k, std::span<const float> run) {
                       blocks.at(k).insert(blocks.at(k).end(), run.begin(), run.end());
                     });
  std::vector<float> min, max;
  for (std::size_t k = 0; k < scale.size(); ++k) {
    CAPTURE(k);
    const auto [lowest, highest] = std::ranges::minmax(blocks[k]);
    const Range of_min_max = rung::legal_min_max({lowest, highest}, grid, symmetry);
    const Range range = found ? found->at(k) : of_min_max;
    min.push_back(range.min);
    max.push_back(range.max);
    const auto steps = static_cast<float>(grid.steps());
    CHECK(std::abs((of_min_max.max - of_min_max.min) / steps / min_max_scale[k] - 1) <= 1e-6);
    CHECK(std::abs((range.max - range.min) / steps / scale[k] - 1) <= 1e-6);
  }
  const Encoding encoding = rung::encoding_from_range(min, max, bitwidth, symmetry, granularity);
  std::vector<float> got(w.floats.size());
  rung::quantize_dequantize(w.floats, shape, encoding, got);
  // A number on a tie may go to the other side, one step away.
  std::size_t ties = 0;
  const rung::ChannelRuns runs(shape, granularity);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::int64_t k = runs.channel(static_cast<std::int64_t>(i) / runs.length());
    const float error = std::abs(got[i] - y[i]);
    CHECK(error <= 1.001f * scale[static_cast<std::size_t>(k)]);
    ties += error > 1e-6f * std::abs(y[i]) ? 1 : 0;
  }
  CHECK(ties <= 1 + got.size() / 100);
  report.add(2 * scale.size() + got.size());
}

}  // namespace

TEST_SUITE("golden quantizers: encoding_from_range") {
  TEST_CASE("observed ranges give AIMET's parameters, scales and offsets bit for bit") {
    golden::Report report("golden quantizers: encoding_from_range");
    for (const auto& c : golden::cases("quantizers/encoding_from_range.json")) {
      CAPTURE(c.dump());
      const int bitwidth = c.at("bitwidth");
      const Symmetry symmetry = symmetry_of(c);
      const Grid grid = rung::make_grid(bitwidth, symmetry);
      CHECK(grid.qmin == c.at("qmin").get<std::int64_t>());
      CHECK(grid.qmax == c.at("qmax").get<std::int64_t>());
      const Range observed{c.at("observed_min"), c.at("observed_max")};
      const auto estimator = rung::make_min_max();
      rung::observe(*estimator, std::vector<float>{observed.max, observed.min});
      const Range stored = estimator->estimate(grid, symmetry);
      const Encoding encoding = rung::encoding_from_range(stored, bitwidth, symmetry);
      const Range effective = encoding.effective_range();
      CHECK(stored.min == c.at("min_parameter").get<float>());
      CHECK(stored.max == c.at("max_parameter").get<float>());
      CHECK(encoding.scale[0] == c.at("scale").get<float>());
      CHECK(double(encoding.offset[0]) == c.at("offset").get<double>());
      CHECK(effective.min == c.at("min").get<float>());
      CHECK(effective.max == c.at("max").get<float>());
      report.add(8);
    }
  }
}

TEST_SUITE("golden quantizers: quantize_dequantize") {
  TEST_CASE("values, codes and dx are AIMET's bit for bit, gradients of ranges within 1e-5") {
    golden::Report report("golden quantizers: quantize_dequantize");
    const auto tensors = golden::tensors("quantizers/quantize_dequantize.safetensors");
    int per_tensor = 0, per_channel = 0, per_block = 0;
    double worst = 0.0;
    for (const auto& c : golden::cases("quantizers/quantize_dequantize.json")) {
      const std::string name = c.at("name");
      CAPTURE(name);
      const Shape shape(c.at("x_shape").get<std::vector<std::int64_t>>());
      const rung::Granularity cut = granularity_of(c);
      ++(cut.blocks ? per_block : cut.axis ? per_channel : per_tensor);
      const auto get = [&](const char* what) { return tensors.floats(name + "." + what); };
      const auto x = get("x"), dy = get("dy"), min = get("min"), max = get("max");
      REQUIRE(static_cast<std::int64_t>(x.size()) == shape.numel());

      const Encoding encoding =
          rung::encoding_from_range(min, max, c.at("bitwidth").get<int>(), symmetry_of(c), cut);
      CHECK(encoding.grid.qmin == c.at("qmin").get<std::int64_t>());
      CHECK(encoding.grid.qmax == c.at("qmax").get<std::int64_t>());
      CHECK(same_bits(encoding.scale, get("scale")));
      const auto offset = get("offset");
      REQUIRE(offset.size() == encoding.offset.size());
      for (std::size_t i = 0; i < offset.size(); ++i)
        CHECK(double(encoding.offset[i]) == double(offset[i]));

      std::vector<float> y(x.size()), dx(x.size());
      rung::quantize_dequantize(x, shape, encoding, y);
      CHECK(same_bits(y, get("y")));
      const auto codes = rung::quantize(x, shape, encoding);
      const auto& golden_codes = tensors.at(name + ".codes").integers;
      CHECK(std::equal(codes.begin(), codes.end(), golden_codes.begin(), golden_codes.end()));
      CHECK(same_bits(rung::dequantize(codes, shape, encoding), get("y")));

      const auto gradient = rung::quantize_dequantize_backward(x, dy, shape, encoding, dx);
      const auto golden_dx = get("dx");
      CHECK(std::equal(dx.begin(), dx.end(), golden_dx.begin(), golden_dx.end()));  // -0 is 0
      std::vector<float> dmin(min.size()), dmax(min.size());
      rung::range_gradient(gradient, encoding, min, dmin, dmax);

      // The yardstick is the sum of the absolute terms: |dy| instead of dy makes every term
      // positive for the scale up to the sign of its factor, so take each number alone.
      std::vector<double> scale_of_dmin(min.size()), scale_of_dmax(min.size());
      const rung::ChannelRuns runs(shape, cut);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::int64_t channel = runs.channel(static_cast<std::int64_t>(i) / runs.length());
        const auto k = static_cast<std::size_t>(channel);
        const Encoding one{encoding.bitwidth,   encoding.symmetry,   encoding.grid, {},
                           {encoding.scale[k]}, {encoding.offset[k]}};
        const auto term =
            rung::quantize_dequantize_backward({&x[i], 1}, {&dy[i], 1}, Shape{1}, one, {});
        float term_min = 0, term_max = 0;
        rung::range_gradient(term, one, {&min[k], 1}, {&term_min, 1}, {&term_max, 1});
        scale_of_dmin[k] += std::abs(double(term_min));
        scale_of_dmax[k] += std::abs(double(term_max));
      }
      const auto golden_dmin = get("dmin"), golden_dmax = get("dmax");
      REQUIRE(golden_dmin.size() == min.size());
      REQUIRE(golden_dmax.size() == min.size());
      for (std::size_t k = 0; k < min.size(); ++k) {
        CAPTURE(k);
        const double error_min =
            std::abs(double(dmin[k]) - golden_dmin[k]) / std::max(scale_of_dmin[k], 1e-30);
        const double error_max =
            std::abs(double(dmax[k]) - golden_dmax[k]) / std::max(scale_of_dmax[k], 1e-30);
        CHECK(error_min < 1e-5);
        CHECK(error_max < 1e-5);
        worst = std::max({worst, error_min, error_max});
      }
      report.add(4 * min.size() + y.size() + codes.size() + dx.size());
    }
    golden::check_all_used(tensors);
    report.note(std::to_string(per_tensor) + " per tensor, " + std::to_string(per_channel) +
                " per channel, " + std::to_string(per_block) + " per block");
    char text[64];
    std::snprintf(text, sizeof text, "worst dmin/dmax error %.1e of the terms", worst);
    report.note(text);
  }
}

TEST_SUITE("golden quantizers: range_estimators") {
  TEST_CASE("three growing batches give AIMET's ranges within 1e-6 of the width") {
    check_range_estimators("", {}, "golden quantizers: range_estimators");
  }
  TEST_CASE("those of version 2.42, too, with tf_enhanced and 2 bits") {
    check_range_estimators(std::string(golden::kAimet242), kRules242,
                           "golden quantizers of 2.42: range_estimators");
  }
}

TEST_SUITE("golden quantizers: on_grid") {
  TEST_CASE("parameters on a grid keep its scales, others get those of min-max") {
    golden::Report report("golden quantizers of 2.42: on_grid");
    const std::string file = std::string(golden::kAimet242) + "quantizers/on_grid";
    const auto tensors = golden::tensors(file + ".safetensors");
    for (const auto& c : golden::cases(file + ".json")) check_on_grid(c, tensors, report);
    golden::check_all_used(tensors);
  }
}
