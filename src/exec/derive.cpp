#include <algorithm>

#include "exec/passes.h"

namespace rung {

void derive(Program& program, const Source&) {
  for (Step& step : program.forward) {
    if (step.kind == StepKind::round_bias) continue;  // looks for itself
    const bool from_parameters = std::ranges::all_of(
        step.inputs, [&](int buffer) { return program.buffers[buffer].storage != Storage::arena; });
    if (!from_parameters) continue;
    const bool is_view =
        step.kind == StepKind::forward && program.nodes[step.node].kernel->is_view();
    // A layer of parameters has to be computed again in each step of training, for backward.
    step.from_parameters = step.kind == StepKind::reorder || program.mode == Mode::eval;
    if (!step.from_parameters && !is_view) continue;
    for (const int buffer : step.outputs)
      if (buffer >= 0) program.buffers[buffer].storage = Storage::kept;
  }
}

}  // namespace rung
