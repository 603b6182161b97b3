#include "run/encodings.h"

#include <fmt/format.h>

#include <vector>

#include "rung/core/error.h"

namespace rung::cli {

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
