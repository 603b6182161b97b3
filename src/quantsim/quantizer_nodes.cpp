#include "quantsim/quantizer_nodes.h"

#include <utility>

#include "core/check.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::quantsim {

const Node& reader_of(const Node& quantizer) {
  const std::span<const Use> uses = quantizer.output().uses();
  require(!uses.empty(), "quantizer {}: nobody reads it", quantizer.name());
  return *uses[0].node;
}

QuantizerPlaceholder take_out(Graph& graph, Node& quantizer) {
  QuantizerPlaceholder place{
      quantizer.name(), QuantizerHandle(quantizer).place(), quantizer.inputs()[0], {}};
  if (place.kind == QuantizerPlace::edge) place.edge = quantizer.output().uses()[0];
  graph.bypass_node(quantizer);
  return place;
}

Node& put_in(Graph& graph, const QuantizerPlaceholder& place,
             std::unique_ptr<QuantizeDequantize> op, std::span<Value* const> parameters) {
  op->set_place(place.kind);
  if (place.edge.node != nullptr)
    return graph.insert_on_edge(place.edge, std::move(op), parameters, place.name);
  return graph.insert_after(*place.source, std::move(op), parameters, place.name);
}

}  // namespace rung::quantsim
