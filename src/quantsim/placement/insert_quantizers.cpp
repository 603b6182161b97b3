#include "quantsim/placement/insert_quantizers.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/check.h"
#include "ops/quantize/quantizer_names.h"
#include "quantsim/placement/placement.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quant/registry.h"

// Where they go is decided in placement.cpp; here the decided ones become nodes.

namespace rung::quantsim {

namespace {

class Inserter {
 public:
  Inserter(Graph& graph, const QuantSimConfig& config, const QuantSimOptions& options)
      : graph_(graph), config_(config), options_(options) {}

  void behind_value(Value& value, const Site& site) {
    auto op = make_op(value, site);
    op->set_place(value.parameter() != nullptr ? QuantizerPlace::parameter : QuantizerPlace::value);
    const std::string name = quantizer_name(value);
    const std::vector<Value*> extra = add_quantizer_parameters(graph_, op->quantizer(), name);
    constrain(graph_.insert_after(value, std::move(op), extra, name), site);
  }

  /// Edges of one value share min and max: they see the same numbers. Not if their grids differ.
  void on_edge(Use use, const Site& site) {
    Value& value = *use.node->inputs()[use.index];
    auto op = make_op(value, site);
    op->set_place(QuantizerPlace::edge);
    const std::string name = quantizer_name(use);
    const KernelPrecision& precision = site.precision.value;
    std::vector<Value*>& extra =
        shared_[{&value, precision.bitwidth, precision.is_float, site.symmetric.value}];
    if (extra.empty()) extra = add_quantizer_parameters(graph_, op->quantizer(), name);
    graph_.insert_on_edge(use, std::move(op), extra, name);
  }

 private:
  std::unique_ptr<QuantizeDequantize> make_op(const Value& tensor, const Site& site) const {
    const bool is_fixed = site.constraints && site.constraints->is_complete();
    auto op = std::make_unique<QuantizeDequantize>(
        quantizer_for(site, tensor, config_, options_),
        is_fixed ? make_min_max() : make_range_estimator(options_.quant_scheme.estimator));
    op->set_recomputed(tensor.parameter() != nullptr &&
                       options_.weight_ranges == WeightRanges::recomputed);
    return op;
  }

  /// A range that the configuration gives completely is set at once and stays.
  void constrain(Node& node, const Site& site) {
    const bool is_fixed = site.constraints && site.constraints->is_complete();
    if (!is_fixed || quantizer_parameters(node).empty()) return;
    QuantizerHandle quantizer(node);
    quantizer.set_range(
        {static_cast<float>(*site.constraints->min), static_cast<float>(*site.constraints->max)});
    quantizer.freeze();
  }

  Graph& graph_;
  const QuantSimConfig& config_;
  const QuantSimOptions& options_;
  std::map<std::tuple<const Value*, int, bool, bool>, std::vector<Value*>> shared_;
};

}  // namespace

void insert_quantizers(Graph& graph, const QuantSimConfig& config, const QuantSimOptions& options) {
  const Placement placement = decide_placement(graph, config, options);
  // Everything is looked up in the float graph before the first edit.
  struct Edge {
    Use use;
    const Site* site;
  };
  std::vector<Value*> values;
  std::vector<Edge> edges;
  for (Value* value : graph.values())
    if (placement.at(*value).enabled.value) values.push_back(value);
  for (Node* node : graph.nodes())
    for (std::size_t i = 0; i < node->inputs().size(); ++i) {
      const Site& site = placement.input(*node, i);
      if (node->inputs()[i]->parameter() == nullptr && site.enabled.value)
        edges.push_back({{node, i}, &site});
    }

  Inserter inserter(graph, config, options);
  for (const auto& [use, site] : edges) inserter.on_edge(use, *site);
  for (Value* value : values) inserter.behind_value(*value, placement.at(*value));
  // Ranges are fixed unless calibration under a range learning scheme lets them be trained.
  for (Parameter* parameter : graph.parameters(Role::encoding)) parameter->set_requires_grad(false);
}

}  // namespace rung::quantsim
