#include "exec/passes.h"
#include "graph/layer.h"

namespace rung {

void round_biases(Program& program, const Source& source) {
  if (!source.graph.int32_biases()) return;
  std::vector<Step> forward;
  for (Step& step : program.forward) {
    const Node* layer =
        step.kind == StepKind::forward ? program.nodes[step.node].task.group.node : nullptr;
    if (layer != nullptr && bias_value(*layer) != nullptr) {
      int& bias = step.inputs[*layer->op().traits().weighted->bias];
      const int rounded = program.new_buffer(layer->name() + " int32 bias",
                                             program.buffers[bias].shape, Format::plain);
      program.buffers[rounded].storage = Storage::kept;
      forward.push_back({.kind = StepKind::round_bias,
                         .name = layer->name(),
                         .inputs = {bias},
                         .outputs = {rounded},
                         .layer = layer});
      bias = rounded;
      program.nodes[step.node].inputs = step.inputs;
    }
    forward.push_back(std::move(step));
  }
  program.forward = std::move(forward);
}

}  // namespace rung
