#include "graph/layer.h"

namespace rung {

bool is_layer(const Node& node) {
  const Traits traits = node.op().traits();
  return traits.weighted && traits.weighted->bias;
}

Value& weight_value(const Node& layer) {
  return *layer.inputs()[layer.op().traits().weighted->weight];
}

Value* bias_value(const Node& node) {
  if (!is_layer(node)) return nullptr;
  const std::size_t bias = *node.op().traits().weighted->bias;
  return bias < node.inputs().size() ? node.inputs()[bias] : nullptr;
}

}  // namespace rung
