#include "rung/core/closest.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/check.h"
#include "core/join.h"

namespace rung {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // One row of the table at a time.
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::string closest_names(std::string_view name, std::span<const std::string> candidates) {
  constexpr std::size_t kMost = 3;
  using Ranked = std::pair<std::size_t, std::string_view>;
  std::vector<Ranked> containing, similar;
  for (const std::string& candidate : candidates) {
    similar.emplace_back(edit_distance(name, candidate), candidate);
    if (!name.empty() && candidate.find(name) != std::string::npos)
      containing.emplace_back(candidate.size(), candidate);
  }
  std::ranges::stable_sort(containing, {}, &Ranked::first);
  std::ranges::stable_sort(similar, {}, &Ranked::first);
  std::vector<std::string_view> best;
  for (const auto& [size, candidate] : containing)
    if (best.size() < kMost) best.push_back(candidate);
  const std::size_t most = std::max(kMost, best.size() + 1);
  for (const auto& [distance, candidate] : similar)
    if (best.size() < most && std::ranges::find(best, candidate) == best.end())
      best.push_back(candidate);
  return fmt::format("{}", join(best));
}

}  // namespace rung
