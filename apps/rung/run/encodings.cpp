#include "run/encodings.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/text.h"

namespace rung::cli {
namespace {

constexpr std::size_t kListed = 8;

std::string names(const std::vector<std::string>& all) {
  const std::size_t shown = std::min(all.size(), kListed);
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) text += (text.empty() ? "" : ", ") + printable(all[i]);
  if (all.size() > shown) text += fmt::format(" and {} more", all.size() - shown);
  return text;
}

}  // namespace

void load_encodings(const EncodingsOptions& options, QuantizationSimModel& sim,
                    const Console& console, Report& report) {
  const LoadedEncodings done =
      sim.load_encodings(options.file, {.strict = !options.skip_unknown, .partial = false});
  if (done.loaded.empty())
    throw Error(fmt::format("{}: has no entry for any quantizer of this model", options.file));
  console.line(
      fmt::format("{}: {} quantizers loaded, {} without an entry switched off, {} entries "
                  "skipped, {} modules matched by their position",
                  options.file, done.loaded.size(), done.missing.size(), done.skipped.size(),
                  done.renamed.size()));
  if (!done.missing.empty()) console.line("switched off: " + names(done.missing));
  Report figures;
  figures.set("loaded", done.loaded);
  figures.set("missing", done.missing);
  figures.set("skipped", done.skipped);
  Report renamed;
  for (const auto& [theirs, ours] : done.renamed) renamed.set(theirs, ours);
  figures.set("renamed", renamed);
  report.set("encodings", figures);
}

}  // namespace rung::cli
