#include "rung/nn/run_settings.h"

#include <vector>

#include "core/check.h"

namespace rung::nn {
namespace {

std::string describe(const SettingDifference& difference) {
  const auto& [file, name, was, is] = difference;
  if (!is) return fmt::format("{} was {}, is not given", name, *was);
  return fmt::format("{} was {}, is {}", name, was.value_or("unknown"), *is);
}

}  // namespace

void check_same(const RunSettings& was, const RunSettings& is, const std::string& file,
                const AcceptDifference& accepts) {
  std::vector<std::string> differences;
  const auto note = [&](const SettingDifference& difference) {
    if (!accepts || !accepts(difference)) differences.push_back(describe(difference));
  };
  for (const auto& [name, value] : is) {
    const auto found = was.find(name);
    if (found == was.end())
      note({file, name, {}, value});
    else if (found->second != value)
      note({file, name, found->second, value});
  }
  for (const auto& [name, value] : was)
    if (!is.contains(name)) note({file, name, value, {}});
  require(differences.empty(), "{} belongs to a run that was told something else: {}", file,
          fmt::join(differences, "; "));
}

}  // namespace rung::nn
