#include "exec/passes.h"

namespace rung {

void overwrite(Program& program, const Source& source) {
  // In evaluation, where nothing is kept for backward.
  if (program.mode != Mode::eval || source.options.memory != MemoryPolicy::arena) return;
  std::map<const Value*, int> readers;
  for (const Group& group : program.groups)
    for (const Value* value : group.inputs) ++readers[value];
  for (const Value* output : source.graph.outputs()) ++readers[output];
  for (const std::string& name : source.watched) ++readers[&source.graph.value(name)];
  for (const Compiled& compiled : program.nodes) {
    if (!compiled.kernel->in_place()) continue;
    const Value& first = *compiled.task.group.inputs[0];
    const int input = compiled.inputs[0], output = compiled.outputs.back();
    const Buffer &from = program.buffers[input], &to = program.buffers[output];
    if (from.storage == Storage::arena && from.alias < 0 && first.producer() != nullptr &&
        readers[&first] == 1 && from.bytes() == to.bytes())
      program.buffers[output].alias = input;
  }
}

}  // namespace rung
