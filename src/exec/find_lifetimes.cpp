#include <algorithm>

#include "exec/passes.h"

namespace rung {

// The timeline: the forward list, then the backward list, then the end.
void find_lifetimes(Program& program, const Source& source) {
  const int turn = static_cast<int>(program.forward.size());
  const int end = turn + static_cast<int>(program.backward.size());
  const auto use = [&](int buffer, int position) {
    if (buffer < 0) return;
    Buffer& b = program.buffers[program.root(buffer)];
    if (b.first < 0 || position < b.first) b.first = position;
    b.last = std::max(b.last, position);
  };
  const auto use_all = [&](std::span<const int> buffers, int position) {
    for (const int buffer : buffers) use(buffer, position);
  };
  use_all(program.inputs, 0);
  for (int i = 0; i < end; ++i) {
    const Step& step = i < turn ? program.forward[i] : program.backward[i - turn];
    if (step.kind == StepKind::backward) {
      use_all(program.needed(step), i);
    } else {
      use_all(step.inputs, i);
      use_all(step.outputs, i);
    }
    use_all(step.output_grads, i);
    use_all(step.input_grads, i);
    use(step.workspace, i);
    use(step.scratch, i);
  }
  for (const auto& [name, buffer] : program.watched) use(buffer, end);
  for (const auto& [name, buffer] : program.watched_gradients) use(buffer, end);
  use_all(program.output_gradients, turn);
  for (Buffer& buffer : program.buffers) {
    if (buffer.alias >= 0) buffer.alias = program.root(buffer.alias);
    if (buffer.alias >= 0 || buffer.storage != Storage::arena) continue;
    if (source.options.memory == MemoryPolicy::keep_all) buffer.first = 0, buffer.last = end;
    if (buffer.first < 0) buffer.first = buffer.last = 0;
    program.unplanned_bytes += buffer.bytes();
  }
}

}  // namespace rung
