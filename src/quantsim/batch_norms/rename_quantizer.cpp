#include "quantsim/batch_norms/rename_quantizer.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "ops/quantize/quantizer_names.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::quantsim {
namespace {

/// Returns new parameters with the values of the old ones; the same ones if others share them.
std::vector<Value*> copy_parameters(Graph& graph, const Node& quantizer, std::string_view name) {
  const std::vector<Value*> old(quantizer.inputs().begin() + 1, quantizer.inputs().end());
  if (std::ranges::any_of(old, [](const Value* v) { return v->uses().size() > 1; })) return old;
  std::vector<Value*> copies =
      add_quantizer_parameters(graph, quantizer.as<QuantizeDequantize>()->quantizer(), name);
  for (std::size_t i = 0; i < copies.size(); ++i) {
    copies[i]->parameter()->edit().copy_from(old[i]->parameter()->value());
    copies[i]->parameter()->set_requires_grad(old[i]->parameter()->requires_grad());
  }
  return copies;
}

}  // namespace

void rename_quantizer(Graph& graph, Node& old, Value& value) {
  const std::string name = quantizer_name(value);
  const std::vector<Value*> extra = copy_parameters(graph, old, name);
  graph.insert_after(value, std::make_unique<QuantizeDequantize>(*old.as<QuantizeDequantize>()),
                     extra, name);
  graph.bypass_node(old);
}

}  // namespace rung::quantsim
