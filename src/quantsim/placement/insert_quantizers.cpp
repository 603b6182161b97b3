#include "quantsim/placement/insert_quantizers.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/check.h"
#include "ops/quantize/quantizer_names.h"
#include "quantsim/placement/fixed_sides.h"
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
    std::vector<Value*> own;
    std::vector<Value*>& extra = is_shared(site) ? of_owner_[&settings_of(site)] : own;
    if (extra.empty()) extra = add_quantizer_parameters(graph_, op->quantizer(), name);
    constrain(graph_.insert_after(value, std::move(op), extra, name), site);
  }

  /// Edges of one value share min and max: they see the same numbers. Not if their grids differ.
  void on_edge(Use use, const Site& site) {
    Value& value = *use.node->inputs()[use.index];
    auto op = make_op(value, site);
    op->set_place(QuantizerPlace::edge);
    const std::string name = quantizer_name(use);
    const Site& settings = settings_of(site);
    const KernelPrecision& precision = settings.precision.value;
    std::vector<Value*>& extra =
        is_shared(site)
            ? of_owner_[&settings]
            : of_value_[{&value, precision.bitwidth, precision.is_float, settings.symmetric.value}];
    if (extra.empty()) extra = add_quantizer_parameters(graph_, op->quantizer(), name);
    constrain(graph_.insert_on_edge(use, std::move(op), extra, name), site);
  }

  /// Says that other places have this site's quantizer, too.
  void share(const Site& site) { owners_.insert(&site); }

 private:
  bool is_shared(const Site& site) const { return owners_.contains(&settings_of(site)); }

  std::unique_ptr<QuantizeDequantize> make_op(const Value& tensor, const Site& site) const {
    // What is known of the range comes from the op: a search would cut the rest off.
    const bool is_constrained = settings_of(site).constraints.has_value();
    auto op = std::make_unique<QuantizeDequantize>(
        quantizer_for(site, tensor, config_, options_),
        is_constrained ? make_min_max() : make_range_estimator(options_.quant_scheme.estimator));
    op->set_recomputed(tensor.parameter() != nullptr &&
                       options_.weight_ranges == WeightRanges::recomputed);
    return op;
  }

  /// A range that the configuration gives completely is set at once and stays.
  void constrain(Node& node, const Site& site) {
    const auto& constraints = settings_of(site).constraints;
    if (!constraints || !constraints->is_complete() || quantizer_parameters(node).empty()) return;
    QuantizerHandle quantizer(node);
    quantizer.set_range(fixed_range(*constraints, quantizer, config_.rules));
    quantizer.freeze();
  }

  Graph& graph_;
  const QuantSimConfig& config_;
  const QuantSimOptions& options_;
  std::set<const Site*> owners_;
  std::map<const Site*, std::vector<Value*>> of_owner_;
  std::map<std::tuple<const Value*, int, bool, bool>, std::vector<Value*>> of_value_;
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
      if (!is_quantizable_parameter(*node->inputs()[i]) && site.enabled.value)
        edges.push_back({{node, i}, &site});
    }

  Inserter inserter(graph, config, options);
  const auto note_owner = [&](const Site& site) {
    if (site.owner != nullptr) inserter.share(*site.owner);
  };
  for (const auto& [use, site] : edges) note_owner(*site);
  for (const Value* value : values) note_owner(placement.at(*value));
  for (const auto& [use, site] : edges) inserter.on_edge(use, *site);
  for (Value* value : values) inserter.behind_value(*value, placement.at(*value));
  // Ranges are fixed unless calibration under a range learning scheme lets them be trained.
  for (Parameter* parameter : graph.parameters(Role::encoding)) parameter->set_requires_grad(false);
}

}  // namespace rung::quantsim
