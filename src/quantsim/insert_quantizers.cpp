#include "quantsim/insert_quantizers.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/format.h"
#include "quantsim/placement.h"
#include "rung/ops/quantize_dequantize.h"

// Where they go is decided in placement.cpp; here the decided ones become nodes.

namespace rung::quantsim {

namespace {

std::unique_ptr<RangeEstimator> make_estimator(QuantScheme scheme) {
  switch (scheme) {
    case QuantScheme::post_training_tf:
    case QuantScheme::training_range_learning_with_tf_init:
      return make_min_max();
    case QuantScheme::post_training_percentile:
      return make_percentile();
    case QuantScheme::post_training_tf_enhanced:
    case QuantScheme::training_range_learning_with_tf_enhanced_init:
      break;
  }
  return make_sqnr();
}

/// Returns the weights of the first and the last node that has any.
std::set<const Value*> edge_weights(const Graph& graph) {
  const Value* first = nullptr;
  const Value* last = nullptr;
  for (const Node* node : graph.nodes())
    for (const Value* input : node->inputs()) {
      if (input->parameter() == nullptr || input->parameter()->role() != Role::weight) continue;
      if (first == nullptr) first = input;
      last = input;
    }
  return {first, last};
}

class Inserter {
 public:
  Inserter(Graph& graph, const QuantSimConfig& config, const QuantSimOptions& options)
      : graph_(graph), config_(config), options_(options), edge_weights_(edge_weights(graph)) {}

  void behind_value(Value& value, const Site& site) {
    const bool is_edge = graph_.is_output(value);
    auto op = make_op(site, activation_bitwidth(is_edge), {}, 1);
    const std::string name = value.name() + ".qdq";
    const std::vector<Value*> extra = add_quantizer_parameters(graph_, op->quantizer(), name);
    constrain(graph_.insert_after(value, std::move(op), extra, name), site);
  }

  /// Edges of one value share min and max: they see the same numbers.
  void on_edge(Use use, const Site& site) {
    Value& value = *use.node->inputs()[use.index];
    auto op = make_op(site, activation_bitwidth(value.is_input()), {}, 1);
    const std::string name = fmt::format("{}.input{}.qdq", use.node->name(), use.index);
    std::vector<Value*>& extra = shared_[&value];
    if (extra.empty()) extra = add_quantizer_parameters(graph_, op->quantizer(), name);
    constrain(graph_.insert_on_edge(use, std::move(op), extra, name), site);
  }

  void behind_parameter(Value& value, const Site& site, const Node& reader) {
    const bool is_edge = edge_weights_.contains(&value);
    const int bitwidth =
        is_edge ? options_.edge_bw.value_or(options_.default_param_bw) : options_.default_param_bw;
    std::optional<std::int64_t> axis;
    // Output channels lie on axis 0, those of ConvTranspose on axis 1.
    if (site.per_channel)
      axis = reader.type() == "ConvTranspose" && value.shape().rank() > 1 ? 1 : 0;
    auto op = make_op(site, bitwidth, axis, axis ? value.shape()[*axis] : 1);
    const std::string name = value.name() + ".qdq";
    const std::vector<Value*> extra = add_quantizer_parameters(graph_, op->quantizer(), name);
    graph_.insert_after(value, std::move(op), extra, name);
  }

 private:
  int activation_bitwidth(bool is_edge) const {
    return is_edge ? options_.edge_bw.value_or(options_.default_output_bw)
                   : options_.default_output_bw;
  }

  std::unique_ptr<QuantizeDequantize> make_op(const Site& site, int bitwidth,
                                              std::optional<std::int64_t> axis,
                                              std::int64_t channels) const {
    Symmetry symmetry = Symmetry::asymmetric;
    if (site.symmetric)
      symmetry = config_.strict_symmetric     ? Symmetry::strict_symmetric
                 : config_.unsigned_symmetric ? Symmetry::unsigned_symmetric
                                              : Symmetry::symmetric;
    return std::make_unique<QuantizeDequantize>(
        std::make_unique<AffineQuantizer>(QuantizerOptions{
            .bitwidth = bitwidth, .symmetry = symmetry, .axis = axis, .channels = channels}),
        site.constraints ? make_min_max() : make_estimator(options_.quant_scheme));
  }

  /// A range that the configuration gives is set at once and stays.
  void constrain(Node& node, const Site& site) {
    if (!site.constraints) return;
    QuantizerHandle quantizer(graph_, node);
    quantizer.set_range(
        {static_cast<float>(site.constraints->min), static_cast<float>(site.constraints->max)});
    quantizer.freeze();
  }

  Graph& graph_;
  const QuantSimConfig& config_;
  const QuantSimOptions& options_;
  std::set<const Value*> edge_weights_;
  std::map<const Value*, std::vector<Value*>> shared_;
};

}  // namespace

void insert_quantizers(Graph& graph, const QuantSimConfig& config, const QuantSimOptions& options) {
  const Placement placement = decide_placement(graph, config);
  // Everything is looked up in the float graph before the first edit.
  struct Place {
    Use use;       // of an edge or a parameter
    Value* value;  // of a value or a parameter
    const Site* site;
  };
  std::vector<Place> parameters, edges, values;
  std::set<const Value*> seen;
  for (Node* node : graph.nodes()) {
    const NodeSites& sites = placement.at(node);
    for (std::size_t i = 0; i < sites.inputs.size(); ++i) {
      if (!sites.inputs[i].enabled) continue;
      Value* input = node->inputs()[i];
      if (input->parameter() == nullptr) edges.push_back({{node, i}, nullptr, &sites.inputs[i]});
      // A parameter that several nodes read is quantized once, for all.
      else if (seen.insert(input).second)
        parameters.push_back({{node, i}, input, &sites.inputs[i]});
    }
    for (std::size_t i = 0; i < sites.outputs.size(); ++i)
      if (sites.outputs[i].enabled) values.push_back({{}, node->outputs()[i], &sites.outputs[i]});
  }

  Inserter inserter(graph, config, options);
  for (const Place& p : parameters) inserter.behind_parameter(*p.value, *p.site, *p.use.node);
  for (const Place& p : edges) inserter.on_edge(p.use, *p.site);
  for (const Place& p : values) inserter.behind_value(*p.value, *p.site);
  // Ranges are fixed unless calibration under a range learning scheme lets them be trained.
  for (Parameter* parameter : graph.parameters(Role::encoding)) parameter->set_requires_grad(false);
}

}  // namespace rung::quantsim
