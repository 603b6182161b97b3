#include <vector>

#include "quantsim/batch_norms/batch_norm_fold.h"
#include "quantsim/impl.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

namespace {

/// Writes into a parameter what its quantizer makes of it: AIMET calls it baking.
void bake(const QuantizerHandle& quantizer) {
  Parameter& parameter = *quantizer.source().parameter();
  parameter.edit().copy_from(quantizer.quantize_dequantize(parameter.value()));
}

}  // namespace

Graph QuantizationSimModel::get_original_model(const OriginalModelOptions& options) const {
  // What is baked are folded weights; else batch norms that are only simulated to be folded stay.
  Graph graph = options.qdq_weights ? quantsim::folded_copy(impl_->graph) : impl_->graph.clone();
  for (QuantizerHandle each : find_quantizers(graph)) {
    const bool bakes =
        options.qdq_weights && each.place() == QuantizerPlace::parameter && each.works();
    if (bakes) bake(each);
    graph.bypass_node(each.node());
  }
  quantsim::undo_simulated_folding(graph);
  return graph;
}

}  // namespace rung
