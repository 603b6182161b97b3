// Prints analyses of networks that need no data, for the report to be looked at:
//   report_analyses small|changed|large
// One object of JSON. `small` has names that would be markup in a careless page, numbers that are
// not finite, and everything that a report shows; `changed` is the same with other figures; `large`
// has 200 layers.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "rung/analysis/analysis.h"

namespace rung::analysis {
namespace {

constexpr const char* kImage = "<img src=x onerror=\"problems.push('markup')\">";
constexpr const char* kScript = "</script><script>problems.push('script')</script>";

Error error_of(double sqnr) {
  return {.count = 1000, .mse = std::pow(10.0, -sqnr / 10), .sqnr_db = sqnr, .cosine = 0.99};
}

Quantizer quantizer_of(const std::string& name, const std::string& layer, bool is_weight,
                       double sqnr) {
  Quantizer q{.name = name,
              .aimet_name = name,
              .layer = layer,
              .place = is_weight ? "parameter" : "value",
              .kind = "affine",
              .bitwidth = 4,
              .symmetry = is_weight ? "symmetric" : "asymmetric"};
  constexpr std::size_t kChannels = 24, kBins = 128;
  q.per_channel = is_weight;
  q.min.assign(is_weight ? kChannels : 1, -1.0f);
  q.max.assign(is_weight ? kChannels : 1, 0.9f);
  q.error = error_of(sqnr);
  q.codes = Codes{.clipped_below = 0.001,
                  .clipped_above = 0.03,
                  .used = 1,
                  .ties = 0.02,
                  .clipping_mse = 0.002,
                  .rounding_mse = 0.001};
  Statistics& s = q.statistics;
  s = {.count = 100'000, .min = -2, .max = 2, .mean = 0.01, .deviation = 0.4};
  s.percentiles = {-1.5, -1, -0.7, -0.3, 0, 0.3, 0.7, 1, 1.5};
  s.distribution = {.min = -2, .max = 2, .counts = {}};
  for (std::size_t i = 0; i < kBins; ++i) {
    const double x = (static_cast<double>(i) - 63.5) / 16;
    s.distribution.counts.push_back(std::round(4000 * std::exp(-x * x)));
  }
  for (std::size_t c = 0; c < kChannels; ++c) {
    s.channel_min.push_back(-0.5f - 0.06f * static_cast<float>(c));
    s.channel_max.push_back(2.0f - 0.05f * static_cast<float>(c));
  }
  s.channel_spread = 2;
  return q;
}

/// Adds a layer with a weight's and an output's quantizer.
void add_layer(Analysis& a, const std::string& name, const std::string& type,
               const std::vector<std::string>& inputs, double sqnr) {
  const bool has_weight = type == "Conv" || type == "Gemm";
  Layer layer{.name = name, .type = type, .inputs = inputs, .output_shape = {10, 24, 14, 14}};
  Sensitivity sensitivity{.name = name};
  if (has_weight) {
    a.quantizers.push_back(quantizer_of(name + ".weight", name, true, sqnr + 3));
    layer.quantizers.push_back(a.quantizers.back().name);
    layer.macs = 1'000'000;
    layer.parameters = 5184;
    layer.accumulator = Accumulator{.worst_case_bits = 17, .observed_bits = 13};
  }
  a.quantizers.push_back(quantizer_of(name, name, false, sqnr + 5));
  layer.quantizers.push_back(name);
  layer.accumulated = error_of(sqnr);
  layer.alone = error_of(sqnr + 4);
  layer.alone_output = error_of(sqnr + 5);
  layer.seconds = 12e-6;
  for (const int bits : {4, 8, 16})
    layer.at_bitwidths.push_back({.bitwidth = bits,
                                  .weight_bytes = layer.parameters * bits / 8,
                                  .saved_bytes = layer.parameters * (4 - bits) / 8,
                                  .alone_sqnr_db = sqnr + 8 + 4.0 * bits,
                                  .network_sqnr_db = 12 + 0.01 * bits});
  sensitivity.quantizers = layer.quantizers;
  sensitivity.alone_error = error_of(sqnr + 10);
  sensitivity.alone = sqnr + 10;
  sensitivity.all_but_error = error_of(14);
  sensitivity.all_but = 14;
  a.layers_sensitivity.push_back(std::move(sensitivity));
  a.layers.push_back(std::move(layer));
}

Analysis empty() {
  Analysis a{.metric = "sqnr"};
  a.levels = {
      .metric = "top1", .nothing = 0.9, .weights = 0.8, .activations = 0.85, .everything = 0.7};
  a.outputs = error_of(12);
  a.cost = {.images = 10, .network_macs = 3'000'000, .passes = 7, .passes_without_sharing = 9};
  return a;
}

/// A run of training, in which one number is not finite.
TrainingRecord run() {
  TrainingRecord record{.steps_per_point = 10};
  RangeHistory range;
  CodeHistory codes{.weights = 100};
  for (std::int64_t i = 1; i <= 20; ++i) {
    const auto at = static_cast<double>(i);
    record.steps.push_back(10 * i);
    record.loss.push_back(2 / at);
    record.top1.push_back(1 - 0.9 / at);
    record.lr.push_back(0.01 * (20 - at));
    record.gradient_norm.push_back(i == 7 ? std::numeric_limits<double>::infinity() : at);
    range.min.push_back(-1 - 0.01 * at);
    range.max.push_back(1 + 0.02 * at);
    codes.flips.push_back(0.1 / at);
    codes.oscillating.push_back(0.02);
    codes.frozen.push_back(0.04 * at);
  }
  record.ranges = {{kImage, range}};
  record.codes = {{"conv1.weight", codes}};
  record.epochs = {.step = {100, 200},
                   .loss = {1, 0.5},
                   .top1 = {0.5, 0.9},
                   .top1_validation = {0.4, 0.8},
                   .lr = {0.1, 0.01},
                   .seconds = {3, 3}};
  return record;
}

Analysis small(double better) {
  Analysis a = empty();
  a.levels.everything += 0.01 * better;
  a.outputs = error_of(12 + better);
  add_layer(a, "conv1", "Conv", {"input"}, 20 + better);
  add_layer(a, kImage, "Relu", {"conv1"}, 9 + better);
  add_layer(a, "branch.conv", "Conv", {kImage}, 33 + better);
  add_layer(a, kScript, "Conv", {kImage}, 27);
  add_layer(a, "add", "Add", {"branch.conv", kScript}, 17 + better);
  add_layer(a, "fc", "Gemm", {"add", "conv1"}, 14 + better);
  for (const Quantizer& each : a.quantizers) {
    const Error error = error_of(each.error.sqnr_db + 8);
    a.quantizers_sensitivity.push_back({.name = each.name,
                                        .quantizers = {each.name},
                                        .alone = error.sqnr_db,
                                        .all_but = 14,
                                        .alone_error = error});
  }
  // What loses nothing, and what is the same everywhere.
  a.layers[2].alone_output = Error{.count = 1000};
  a.layers_sensitivity[2].alone = std::numeric_limits<double>::infinity();
  a.layers_sensitivity[2].alone_error.sqnr_db = std::numeric_limits<double>::infinity();
  Statistics& constant = a.quantizers[1].statistics;
  constant.min = constant.max = constant.distribution.min = constant.distribution.max = 0.5;
  constant.dead_channels = 24;
  a.training = run();
  a.confusion = Confusion{.class_names = {"cat", kImage}, .counts = {{4, 1}, {2, 3}}};
  return a;
}

/// A network like a residual one, of the length of those that are long.
Analysis large() {
  Analysis a = empty();
  std::string last = "input";
  for (int block = 0; block < 40; ++block) {
    const std::string prefix = "layer" + std::to_string(block / 10) + "." + std::to_string(block);
    const double sqnr = 40 - 0.7 * block;
    add_layer(a, prefix + ".conv1", "Conv", {last}, sqnr);
    add_layer(a, prefix + ".relu1", "Relu", {prefix + ".conv1"}, sqnr - 1);
    add_layer(a, prefix + ".conv2", "Conv", {prefix + ".relu1"}, sqnr - 2);
    add_layer(a, prefix + ".add", "Add", {prefix + ".conv2", last}, sqnr);
    add_layer(a, prefix + ".relu2", "Relu", {prefix + ".add"}, sqnr);
    last = prefix + ".relu2";
  }
  return a;
}

}  // namespace
}  // namespace rung::analysis

int main(int argc, char** argv) {
  using namespace rung::analysis;
  const std::string_view which = argc == 2 ? argv[1] : "";
  if (which != "small" && which != "changed" && which != "large") {
    std::fputs("usage: report_analyses small|changed|large\n", stderr);
    return 2;
  }
  std::puts(to_json(which == "large" ? large() : small(which == "changed" ? 6 : 0)).c_str());
}
