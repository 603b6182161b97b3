#include "exec/passes.h"

#include <algorithm>
#include <ranges>

#include "core/check.h"

namespace rung {

bool Source::is_watched(const Value& value) const {
  return std::ranges::find(watched, value.name()) != watched.end();
}

std::span<const Pass> passes() {
  static constexpr Pass kPasses[] = {{"infer_shapes", infer_shapes},
                                     {"group", group},
                                     {"represent", represent},
                                     {"lay_out", lay_out},
                                     {"round_biases", round_biases},
                                     {"derive", derive},
                                     {"overwrite", overwrite},
                                     {"differentiate", differentiate},
                                     {"pack", pack},
                                     {"find_lifetimes", find_lifetimes},
                                     {"place", place}};
  return kPasses;
}

Program compile(const Source& source, std::span<const Shape> input_shapes, Mode mode,
                std::string_view until) {
  const auto last = std::ranges::find(passes(), until, &Pass::name);
  require(until.empty() || last != passes().end(), "there is no pass {}; the passes are {}", until,
          fmt::join(passes() | std::views::transform(&Pass::name), ", "));
  Program program;
  program.mode = mode;
  program.input_shapes.assign(input_shapes.begin(), input_shapes.end());
  for (const Pass& pass : passes()) {
    if (std::ranges::find(source.without, pass.name) == source.without.end())
      pass.run(program, source);
    if (pass.name == until) break;
  }
  return program;
}

}  // namespace rung
