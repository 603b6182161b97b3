#include "io/tensors/weight_names.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/check.h"
#include "core/join.h"
#include "io/files/names.h"

namespace rung::io {
namespace {

constexpr std::size_t kMaxCandidates = 16;

std::string_view last_part(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == name.npos ? name : name.substr(dot + 1);
}

/// What stands before one of the wanted names in the file: the first, the last, the middle one.
std::set<std::string> candidates(const std::vector<std::string>& wanted,
                                 const std::vector<std::string>& names) {
  std::set<std::string> found;
  for (const std::size_t at : {std::size_t{0}, wanted.size() - 1, wanted.size() / 2})
    for (const std::string& name : names)
      if (found.size() < kMaxCandidates && name.size() > wanted[at].size() &&
          name.ends_with(wanted[at]))
        found.insert(name.substr(0, name.size() - wanted[at].size()));
  return found;
}

}  // namespace

NamePrefix find_prefix(const std::vector<std::string>& wanted,
                       const std::vector<std::string>& names,
                       const std::function<bool(const std::string&)>& has) {
  const auto count = [&](const std::string& prefix) {
    return static_cast<std::size_t>(
        std::ranges::count_if(wanted, [&](const std::string& name) { return has(prefix + name); }));
  };
  NamePrefix best{.text = {}, .found = count("")};
  if (wanted.empty() || best.found == wanted.size()) return best;
  std::set<std::string> texts = candidates(wanted, names);
  std::vector<std::string> sorted(texts.begin(), texts.end());
  std::ranges::stable_sort(sorted, {}, &std::string::size);
  for (const std::string& text : sorted) {
    const std::size_t found = count(text);
    // "1" stands before "1.weight" in "11.weight"; only if it does so everywhere it is a prefix.
    if (found < wanted.size() && !text.ends_with('.')) continue;
    if (found > best.found) {
      best = {.text = text, .found = found};
    } else if (found == wanted.size()) {
      best.is_ambiguous = true;
      best.other = text;
    }
  }
  return best;
}

bool is_bookkeeping(std::string_view name, const Shape& shape) {
  constexpr std::array<std::string_view, 4> kParameters = {"weight", "bias", "running_mean",
                                                           "running_var"};
  return shape.numel() == 1 && std::ranges::find(kParameters, last_part(name)) == kParameters.end();
}

std::string summary_of(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 6;
  std::vector<std::pair<std::string_view, std::size_t>> kinds;
  for (const std::string& name : names) {
    const std::string_view kind = last_part(name);
    const auto found = std::ranges::find(kinds, kind, [](const auto& each) { return each.first; });
    if (found == kinds.end() && kinds.size() <= kShown)
      kinds.emplace_back(kind, 1);
    else if (found != kinds.end())
      ++found->second;
  }
  std::vector<std::string> texts;
  for (const auto& [kind, count] : kinds)
    texts.push_back(texts.size() == kShown ? "..."
                    : count == 1           ? shown_name(kind)
                                           : fmt::format("{} {}", count, shown_name(kind)));
  return fmt::format("{}", join(texts));
}

}  // namespace rung::io
