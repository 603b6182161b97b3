#include "rung/quantsim/range_watch.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>
#include <span>
#include <utility>

#include "core/check.h"

namespace rung {
namespace {

// A range that is made legal gets a step between the minimum and twice that.
constexpr float kSmallest = 2.0f * kMinimumScale;

/// Returns the scales that the next forward will use: an optimizer's step may have left parameters
/// that have to be made legal first. Empty if one of them is not finite, for which there are none.
std::vector<float> scales_of(const QuantizerHandle& handle) {
  std::vector<std::vector<float>> values;
  for (const Parameter* parameter : handle.parameters()) {
    const std::span<const float> data = parameter->value().data();
    if (!std::ranges::all_of(data, [](float x) { return std::isfinite(x); })) return {};
    values.emplace_back(data.begin(), data.end());
  }
  const Quantizer& quantizer = handle.op().quantizer();
  const std::vector<std::span<float>> legal(values.begin(), values.end());
  quantizer.constrain(legal);
  const std::vector<std::span<const float>> view(values.begin(), values.end());
  return quantizer.encoding(view).scale;
}

bool is_watched(const QuantizerHandle& handle) {
  return handle.initialized() && handle.enabled() && handle.learned();
}

bool has_collapsed(float before, float now) {
  const bool was_larger = before > kSmallest;  // what began at the smallest may well grow
  return (was_larger && (now <= kSmallest || now > before * RangeWatch::kExploded)) ||
         now < before * RangeWatch::kCollapsed;
}

/// Returns what happened to the scales, or an empty text.
std::string collapse(std::span<const float> before, std::span<const float> now) {
  if (now.empty()) return "its learned range is not finite";
  std::size_t count = 0, first = 0;
  for (std::size_t i = before.size(); i-- > 0;) {
    if (!has_collapsed(before[i], now[i])) continue;
    ++count;
    first = i;
  }
  if (count == 0) return {};
  if (before.size() == 1)
    return fmt::format("its learned scale {} from {:.3g} to {:.3g}",
                       now[0] < before[0] ? "fell" : "rose", before[0], now[0]);
  return fmt::format("{} of its {} learned scales collapsed, number {} from {:.3g} to {:.3g}",
                     count, before.size(), first, before[first], now[first]);
}

}  // namespace

RangeWatch::RangeWatch(Graph& graph, Graph& start) : graph_(&graph) {
  std::set<const Parameter*> shared;
  for (const QuantizerHandle& handle : find_quantizers(start)) {
    if (!is_watched(handle) || !shared.insert(handle.parameters().front()).second) continue;
    std::vector<float> scales = scales_of(handle);
    if (!scales.empty()) scales_.emplace(handle.name(), std::move(scales));
  }
}

std::vector<CollapsedRange> RangeWatch::check() {
  std::vector<CollapsedRange> collapsed;
  for (const QuantizerHandle& handle : find_quantizers(*graph_)) {
    const auto start = scales_.find(handle.name());
    if (start == scales_.end() || !is_watched(handle)) continue;
    const std::vector<float> now = scales_of(handle);
    if (!now.empty() && now.size() != start->second.size()) continue;  // another quantizer by now
    std::string reason = collapse(start->second, now);
    if (reason.empty()) continue;
    collapsed.push_back({handle.name(), std::move(reason)});
    scales_.erase(start);
  }
  return collapsed;
}

}  // namespace rung
