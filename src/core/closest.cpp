#include "core/closest.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/format.h"

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
  std::vector<std::pair<std::size_t, const std::string*>> ranked;
  for (const std::string& candidate : candidates)
    ranked.emplace_back(edit_distance(name, candidate), &candidate);
  std::ranges::stable_sort(ranked, {}, &std::pair<std::size_t, const std::string*>::first);
  std::vector<std::string_view> best;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, ranked.size()); ++i)
    best.push_back(*ranked[i].second);
  return fmt::format("{}", fmt::join(best, ", "));
}

}  // namespace rung
