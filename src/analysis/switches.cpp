#include "analysis/switches.h"

#include <algorithm>
#include <iterator>

#include "quantsim/quantizer_nodes.h"

namespace rung::analysis {

void enable_only(const Graph& graph, const QuantizerSet& quantizers) {
  for (Node* node : graph.nodes())
    if (auto* op = node->as<QuantizeDequantize>())
      op->set_enabled(quantizers.contains(node->name()));
}

std::string layer_of(const QuantizerHandle& quantizer) {
  if (quantizer.place() != QuantizerPlace::value)
    return quantsim::reader_of(quantizer.node()).name();
  const Node* producer = quantizer.source().producer();
  return producer != nullptr ? producer->name() : quantizer.source().name();
}

QuantizerSet all_but(const QuantizerSet& all, const QuantizerSet& some) {
  QuantizerSet rest;
  std::ranges::set_difference(all, some, std::inserter(rest, rest.end()));
  return rest;
}

}  // namespace rung::analysis
