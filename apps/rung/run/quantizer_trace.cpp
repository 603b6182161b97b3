#include "run/quantizer_trace.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "run/json_text.h"
#include "rung/core/error.h"
#include "rung/quant/fake_quantize.h"

namespace rung::cli {
namespace {

constexpr std::int64_t kBins = 64;

void check(const QuantizerHandle& quantizer) {
  const Quantizer& settings = quantizer.op().quantizer();
  const std::string name = quantizer.name();
  if (!quantizer.enabled()) throw Error(name + ": the quantizer is disabled; trace another one");
  if (settings.pass_through() || !settings.runs_fused())
    throw Error(name + ": the quantizer has no codes to trace; trace one of 2 to 31 bits");
  if (settings.granularity().blocks)
    throw Error(name +
                ": the quantizer has a scale for each block; trace one per tensor or channel");
  if (!quantizer.initialized())
    throw Error(name + ": the quantizer has no range yet; calibrate the model first");
}

/// What a step does to the numbers that share a scale.
struct Costs {
  double below = 0, above = 0;        // share clipped at either end
  double rounding = 0, clipping = 0;  // squared error, mean over all numbers
};

std::vector<Costs> costs_of(const ConstTensor& x, const Encoding& encoding) {
  const auto channels = static_cast<std::size_t>(encoding.channels());
  std::size_t inner = 1;  // numbers of a channel that lie side by side
  if (encoding.axis)
    for (std::int64_t axis = *encoding.axis + 1; axis < x.rank(); ++axis)
      inner *= static_cast<std::size_t>(x.size(axis));
  const std::vector<float> ones(static_cast<std::size_t>(x.numel()), 1.0f);
  std::vector<float> inside(ones.size()), y(ones.size());
  quantize_dequantize(x.data(), x.shape(), encoding, y);
  quantize_dequantize_backward(x.data(), ones, x.shape(), encoding, inside);
  std::vector<Costs> costs(channels);
  for (std::size_t i = 0; i < y.size(); ++i) {
    Costs& mine = costs[i / inner % channels];
    const double error = double{y[i]} - double{x.data()[i]};
    if (inside[i] != 0.0f) {
      mine.rounding += error * error;
    } else {
      mine.clipping += error * error;
      (error > 0 ? mine.below : mine.above) += 1;
    }
  }
  const double each = static_cast<double>(y.size()) / static_cast<double>(channels);
  for (Costs& mine : costs)
    for (double* sum : {&mine.below, &mine.above, &mine.rounding, &mine.clipping}) *sum /= each;
  return costs;
}

std::string costs_json(const std::vector<Costs>& costs) {
  constexpr std::array<std::pair<const char*, double Costs::*>, 4> kMembers = {{
      {"clipped_below", &Costs::below},
      {"clipped_above", &Costs::above},
      {"rounding", &Costs::rounding},
      {"clipping", &Costs::clipping},
  }};
  std::string text;
  for (const auto& [name, member] : kMembers) {
    std::vector<float> values;
    for (const Costs& each : costs) values.push_back(static_cast<float>(each.*member));
    text += fmt::format("\"{}\":{},", name, json_numbers(values));
  }
  return text;
}

std::string histogram_json(std::span<const float> x) {
  const auto [low, high] = std::ranges::minmax(x);
  std::vector<std::int64_t> counts(kBins);
  const double width = (double{high} - double{low}) / static_cast<double>(kBins);
  for (const float value : x) {
    const double bin = width > 0 ? (double{value} - double{low}) / width : 0.0;
    ++counts[static_cast<std::size_t>(std::clamp(bin, 0.0, static_cast<double>(kBins - 1)))];
  }
  const std::array<float, 2> ends{low, high};
  return fmt::format("\"histogram\":{{\"range\":{},\"counts\":{}}}", json_numbers(ends),
                     json_numbers(counts));
}

}  // namespace

QuantizerTrace::QuantizerTrace(QuantizationSimModel& sim, std::string_view name)
    : sim_(sim), quantizer_(sim.quantizer(name)) {
  check(quantizer_);
  if (quantizer_.source().parameter() != nullptr) return;
  std::vector<std::string> watched = sim.executor().watched();
  watched.push_back(quantizer_.source().name());
  sim.executor().watch(std::move(watched));
}

void QuantizerTrace::record(double loss) {
  const Parameter* parameter = quantizer_.source().parameter();
  const ConstTensor x =
      parameter != nullptr ? parameter->value() : sim_.executor().value(quantizer_.source().name());
  const Encoding encoding = quantizer_.encoding();
  std::vector<float> min, max;
  for (const Range& range : quantizer_.ranges()) {
    min.push_back(range.min);
    max.push_back(range.max);
  }
  std::vector<std::string> gradients;
  const std::vector<ParameterSpec> specs = quantizer_.op().quantizer().parameters();
  const std::vector<Parameter*> parameters = quantizer_.parameters();
  for (std::size_t i = 0; i < specs.size(); ++i)
    if (parameters[i]->requires_grad() && parameters[i]->has_grad())
      gradients.push_back(fmt::format("{}:{}", json_string(specs[i].name),
                                      json_numbers(ConstTensor(parameters[i]->grad()).data())));
  steps_.push_back(fmt::format(
      "{{\"loss\":{},\"min\":{},\"max\":{},\"scale\":{},\"offset\":{},\"gradient\":{{{}}},{}{}}}",
      json_number(loss), json_numbers(min), json_numbers(max), json_numbers(encoding.scale),
      json_numbers(encoding.offset), fmt::join(gradients, ","), costs_json(costs_of(x, encoding)),
      histogram_json(x.data())));
}

std::string QuantizerTrace::json(std::string_view notes) const {
  const Quantizer& settings = quantizer_.op().quantizer();
  return fmt::format(
      "{{{}\"quantizer\":{},\"kind\":{},\"bitwidth\":{},\"symmetry\":{},\"learned\":{},\n"
      "\"steps\":[\n{}\n]}}\n",
      notes, json_string(quantizer_.name()), json_string(settings.kind()), settings.bitwidth(),
      json_string(to_string(settings.resolved_symmetry())), quantizer_.learned(),
      fmt::join(steps_, ",\n"));
}

}  // namespace rung::cli
