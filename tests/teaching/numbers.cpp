// Prints what the library makes of many numbers, for the page of rung teach to be compared with:
//   teaching_numbers
// One object of JSON. Arrays are base64 of their bytes, so that no digit is lost on the way.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "rung/quant/encoding.h"
#include "rung/quant/fake_quantize.h"
#include "rung/quant/quantizer.h"
#include "rung/quant/range_estimator.h"

namespace rung {
namespace {

constexpr std::size_t kNumbers = 10'000;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::string base64(std::span<const unsigned char> bytes) {
  constexpr const char* kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j)
      three = three << 8 | (i + j < bytes.size() ? bytes[i + j] : 0U);
    for (std::size_t j = 0; j < 4; ++j)
      text += i + j <= bytes.size() ? kLetters[three >> (18 - 6 * j) & 63U] : '=';
  }
  return text;
}

template <typename T>
std::string quoted(const std::vector<T>& values) {
  std::vector<unsigned char> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return '"' + base64(bytes) + '"';
}

struct Settings {
  int bits;
  Symmetry symmetry;
  Rounding rounding;
  Range range;
};

/// Numbers on which a slip would show: codes, ties and their neighbours, ends, zeros, what is tiny,
/// huge or infinite; and plain ones.
std::vector<float> numbers_for(const Encoding& encoding, std::mt19937& random) {
  const float scale = encoding.scale[0];
  const Range ends = encoding.effective_range();
  const float width = ends.max - ends.min;
  std::normal_distribution<float> plain(ends.min + width / 2, width / 2);
  std::uniform_int_distribution<std::int64_t> code(encoding.grid.qmin - 2, encoding.grid.qmax + 2);
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  std::vector<float> x = {0.0f,   -0.0f,    kTiny,    -kTiny, 1e-38f, kInfinity, -kInfinity, 3e38f,
                          -3e38f, ends.min, ends.max, scale,  -scale, scale / 2, -scale / 2};
  while (x.size() < kNumbers / 2) {
    const auto half = static_cast<float>(random() % 2) / 2;
    const float near = (static_cast<float>(code(random) + encoding.offset[0]) + half) * scale;
    x.push_back(near);
    x.push_back(std::nextafter(near, kInfinity));
    x.push_back(std::nextafter(near, -kInfinity));
  }
  while (x.size() < kNumbers) x.push_back(plain(random));
  x.resize(kNumbers);
  return x;
}

std::string case_json(const Settings& settings, std::mt19937& random) {
  const auto& [bits, symmetry, rounding, range] = settings;
  const Encoding encoding = encoding_from_range(range, bits, symmetry);
  const std::vector<float> x = numbers_for(encoding, random);
  const Shape shape{static_cast<std::int64_t>(x.size())};
  std::normal_distribution<float> plain;
  std::vector<float> dy(x.size()), y(x.size()), dx(x.size());
  std::ranges::generate(dy, [&] { return plain(random); });
  const std::vector<std::int32_t> codes = quantize(x, shape, encoding);
  quantize_dequantize(x, shape, encoding, y, rounding);
  const EncodingGradient gradient =
      quantize_dequantize_backward(x, dy, shape, encoding, dx, rounding);
  std::array<float, 1> dmin{}, dmax{}, dscale{}, none{};
  const std::array<float, 1> min{range.min};
  range_gradient(gradient, encoding, min, dmin, dmax);
  const std::array<std::span<float>, 2> dparameters{dscale, none};
  LsqQuantizer({.bitwidth = bits, .symmetry = symmetry}).chain(gradient, encoding, {}, dparameters);
  return "{\"bits\":" + std::to_string(bits) + ",\"symmetry\":\"" +
         std::string(to_string(symmetry)) +
         "\",\"stochastic\":" + (rounding.stochastic ? "true" : "false") +
         ",\"seed\":" + std::to_string(rounding.seed) +
         ",\"range\":" + quoted(std::vector{range.min, range.max}) +
         ",\"encoding\":" + quoted(std::vector{encoding.scale[0], float(encoding.offset[0])}) +
         ",\"x\":" + quoted(x) + ",\"dy\":" + quoted(dy) + ",\"codes\":" + quoted(codes) +
         ",\"y\":" + quoted(y) + ",\"dx\":" + quoted(dx) +
         ",\"sums\":" + quoted(std::vector{gradient.scale[0], gradient.offset[0]}) +
         ",\"gradients\":" + quoted(std::vector{dmin[0], dmax[0], dscale[0]}) + "}";
}

/// What ranges are estimated of: bell-shaped, behind a Relu, with outliers, constant, one-sided.
std::vector<std::vector<float>> data_sets(std::mt19937& random) {
  std::normal_distribution<float> bell(0.02f, 0.3f);
  std::vector<std::vector<float>> sets(7);
  for (std::size_t i = 0; i < 4000; ++i) {
    const float x = bell(random);
    sets[0].push_back(x);
    sets[1].push_back(std::max(0.0f, x));
    sets[2].push_back(i % 500 == 0 ? 20 * x : x * x * x);
    sets[3].push_back(-std::abs(x) - 0.5f);
  }
  sets[4] = {0.7f, 0.7f, 0.7f};
  sets[5] = {0.0f, 0.0f};
  sets[6] = {1e-9f, -2e-9f, 3e-10f};
  return sets;
}

std::string range_json(std::string_view name, double percent, std::span<const float> x,
                       std::size_t set, int bits, Symmetry symmetry) {
  std::unique_ptr<RangeEstimator> estimator = make_percentile(percent);
  if (name == "min_max") estimator = make_min_max();
  if (name == "sqnr") estimator = make_sqnr();
  if (name == "tf_enhanced") estimator = make_tf_enhanced();
  const auto [low, high] = std::ranges::minmax(x);
  estimator->begin_batch({low, high}, std::ssize(x));
  estimator->accumulate(x);
  estimator->end_batch();
  const Symmetry resolved = resolve_symmetry(symmetry, {low, high});
  const Range range = estimator->estimate(make_grid(bits, resolved), resolved);
  char text[64];
  std::snprintf(text, sizeof text, "%.17g", percent);
  return "{\"estimator\":\"" + std::string(name) + "\",\"percent\":" + text +
         ",\"set\":" + std::to_string(set) + ",\"bits\":" + std::to_string(bits) +
         ",\"symmetry\":\"" + std::string(to_string(symmetry)) +
         "\",\"range\":" + quoted(std::vector{range.min, range.max}) + "}";
}

void print_list(const char* name, const std::vector<std::string>& parts, const char* end) {
  std::printf("\"%s\":[", name);
  for (std::size_t i = 0; i < parts.size(); ++i)
    std::printf("%s%s", i > 0 ? ",\n" : "\n", parts[i].c_str());
  std::printf("]%s\n", end);
}

constexpr std::array kSymmetries = {Symmetry::asymmetric, Symmetry::symmetric,
                                    Symmetry::strict_symmetric, Symmetry::unsigned_symmetric};

std::vector<std::string> cases(std::mt19937& random) {
  // As they are stored: observed ones made legal, learned ones, tiny and large ones.
  const std::vector<Range> seen = {{-1.3f, 2.1f},   {-0.4f, 0.1f},   {0.2f, 5.7f},
                                   {-3e-8f, 1e-8f}, {-1e30f, 2e31f}, {-0.7f, -0.1f}};
  std::vector<std::string> texts;
  std::size_t next = 0;
  for (int bits = 2; bits <= 16; ++bits)
    for (const Symmetry symmetry : kSymmetries) {
      const Range observed = seen[next++ % seen.size()];
      const Grid grid = make_grid(bits, symmetry);
      const Range range = next % 3 == 0 ? legal_learned_range(observed, grid, symmetry)
                                        : legal_range(observed, grid, symmetry);
      const Rounding rounding{.stochastic = next % 2 == 0, .seed = next * 0x123456789U};
      texts.push_back(case_json({bits, symmetry, rounding, range}, random));
    }
  return texts;
}

std::vector<std::string> ranges(const std::vector<std::vector<float>>& sets) {
  std::vector<std::string> texts;
  for (std::size_t set = 0; set < sets.size(); ++set)
    for (const int bits : {2, 3, 4, 8, 16})
      for (const Symmetry symmetry : kSymmetries) {
        const auto add = [&](std::string_view name, double percent) {
          texts.push_back(range_json(name, percent, sets[set], set, bits, symmetry));
        };
        add("min_max", 100.0);
        add("sqnr", 100.0);
        add("tf_enhanced", 100.0);
        for (const double percent : {100.0, 99.9, 95.0}) add("percentile", percent);
      }
  return texts;
}

}  // namespace
}  // namespace rung

int main() {
  std::mt19937 random(1);
  std::printf("{");
  rung::print_list("cases", rung::cases(random), ",");
  const std::vector<std::vector<float>> sets = rung::data_sets(random);
  std::vector<std::string> texts;
  for (const std::vector<float>& set : sets) texts.push_back(rung::quoted(set));
  rung::print_list("sets", texts, ",");
  rung::print_list("ranges", rung::ranges(sets), "}");
}
