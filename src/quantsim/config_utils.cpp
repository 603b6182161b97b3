#include "rung/quantsim/config_utils.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/check.h"
#include "quantsim/parameter_key.h"
#include "quantsim/placement/config_rules.h"
#include "quantsim/quantizer_nodes.h"

namespace rung {
namespace {

/// Finds the quantizers of the chosen nodes' weights.
std::vector<QuantizerHandle> weight_quantizers(QuantizationSimModel& sim,
                                               const NodePredicate& nodes) {
  std::vector<QuantizerHandle> found;
  for (const QuantizerHandle& each : sim.quantizers())
    if (each.place() == QuantizerPlace::parameter &&
        quantsim::parameter_key(each.node()) == "weight" && nodes(quantsim::reader_of(each.node())))
      found.push_back(each);
  return found;
}

/// Replaces the quantizers of all chosen weights by what `make` says about each; checks every one
/// before the first is changed.
template <typename Make>
std::int64_t replace_weights(QuantizationSimModel& sim, const NodePredicate& nodes,
                             std::string_view caller, const Make& make) {
  const std::vector<QuantizerHandle> found = weight_quantizers(sim, nodes);
  require(!found.empty(), "{}: none of the nodes has a quantized weight", caller);
  std::vector<std::unique_ptr<Quantizer>> made;
  for (const QuantizerHandle& each : found) {
    const Shape& shape = each.source().shape();
    try {
      require(!each.frozen(), "is frozen; unfreeze() it first");
      made.push_back(make(shape, each.bitwidth()));
      made.back()->granularity().check(shape);
    } catch (const Error& error) {
      fail("{}: {}: {}", caller, each.name(), error.what());
    }
  }
  for (std::size_t i = 0; i < found.size(); ++i)
    replace_quantizer(sim.graph(), found[i], std::move(made[i]));
  return static_cast<std::int64_t>(found.size());
}

/// One output channel each, block_size input channels, everything behind them whole.
QuantizerOptions blockwise(const Shape& weight, int bitwidth, Symmetry symmetry,
                           std::int64_t block_size, const ConfigRules& rules) {
  require(weight.rank() >= 2, "blocks lie along the input channels, axis 1: the weight is {}",
          weight);
  require(block_size > 0 && weight[1] % block_size == 0,
          "block_size must divide the {} input channels of {}, got {}", weight[1], weight,
          block_size);
  return {.bitwidth = bitwidth,
          .symmetry = symmetry,
          .axis = 0,
          .channels = weight[0],
          .blocks = Blocks{1, block_size, weight[1] / block_size},
          .grid_rules = quantsim::grid_rules(rules)};
}

}  // namespace

NodePredicate nodes_of_type(std::vector<std::string> types) {
  return [types = std::move(types)](const Node& node) {
    return std::ranges::find(types, node.type()) != types.end();
  };
}

NodePredicate nodes_named(const Graph& graph, std::vector<std::string> names) {
  std::set<std::string> wanted;
  for (const std::string& name : names) wanted.insert(graph.node(name).name());  // throws if absent
  return [wanted = std::move(wanted)](const Node& node) { return wanted.contains(node.name()); };
}

QuantizerHandle replace_quantizer(Graph& graph, QuantizerHandle old,
                                  std::unique_ptr<Quantizer> quantizer) {
  require(quantizer != nullptr, "replace_quantizer: there is no quantizer");
  try {
    quantizer->granularity().check(old.source().shape());
  } catch (const Error& error) {
    fail("replace_quantizer: {}: {}", old.name(), error.what());
  }
  auto op =
      std::make_unique<QuantizeDequantize>(std::move(quantizer), old.op().estimator().clone());
  op->set_enabled(old.enabled());
  op->set_recomputed(old.op().recomputed());
  const quantsim::QuantizerPlaceholder place = quantsim::take_out(graph, old.node());
  // Edges of one value may share parameters, which then still carry the name.
  std::string parameters = place.name;
  const std::vector<ParameterSpec> specs = op->quantizer().parameters();
  const auto is_taken = [&](const ParameterSpec& spec) {
    return graph.find_value(fmt::format("{}.{}", parameters, spec.name)) != nullptr;
  };
  while (std::ranges::any_of(specs, is_taken)) parameters += ".own";
  const std::vector<Value*> extra = add_quantizer_parameters(graph, op->quantizer(), parameters);
  for (Value* value : extra) value->parameter()->set_requires_grad(false);
  return QuantizerHandle(quantsim::put_in(graph, place, std::move(op), extra));
}

std::int64_t set_blockwise_quantization_for_weights(QuantizationSimModel& sim,
                                                    const NodePredicate& nodes,
                                                    const BlockwiseOptions& options) {
  const Symmetry symmetry = options.symmetric ? Symmetry::symmetric : Symmetry::asymmetric;
  return replace_weights(sim, nodes, "set_blockwise_quantization_for_weights",
                         [&](const Shape& shape, int now) {
                           return std::make_unique<AffineQuantizer>(
                               blockwise(shape, options.bitwidth == 0 ? now : options.bitwidth,
                                         symmetry, options.block_size, sim.config().rules));
                         });
}

std::int64_t set_grouped_blockwise_quantization_for_weights(
    QuantizationSimModel& sim, const NodePredicate& nodes, const GroupedBlockwiseOptions& options) {
  return replace_weights(
      sim, nodes, "set_grouped_blockwise_quantization_for_weights",
      [&](const Shape& shape, int now) {
        return std::make_unique<GroupedBlockQuantizer>(
            blockwise(shape, options.bitwidth == 0 ? now : options.bitwidth, Symmetry::symmetric,
                      options.block_size, sim.config().rules),
            GroupedBlockOptions{.decompressed_bw = options.decompressed_bw,
                                .block_grouping = options.block_grouping});
      });
}

std::int64_t set_activation_quantizers_to_float(QuantizationSimModel& sim,
                                                const NodePredicate& nodes,
                                                const FloatFormat& format) {
  std::vector<QuantizerHandle> found;
  for (const QuantizerHandle& each : sim.quantizers()) {
    const Node* producer = each.source().producer();
    const bool chosen =
        each.place() == QuantizerPlace::value
            ? producer != nullptr && nodes(*producer)
            : each.place() == QuantizerPlace::edge && nodes(quantsim::reader_of(each.node()));
    if (chosen) found.push_back(each);
  }
  require(!found.empty(),
          "set_activation_quantizers_to_float: none of the nodes has an activation quantizer");
  for (const QuantizerHandle& each : found)
    replace_quantizer(sim.graph(), each, std::make_unique<FloatQuantizer>(format));
  return static_cast<std::int64_t>(found.size());
}

}  // namespace rung
