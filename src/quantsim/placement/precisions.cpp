#include <algorithm>
#include <map>
#include <set>

#include "core/check.h"
#include "core/join.h"
#include "quantsim/placement/target.h"

// Bitwidths come from the options. A target machine lists in supported_kernels which pairs of
// (activation, parameter) it runs; with enforce_supported_kernels the first pair of a list replaces
// what is not in it, unless that loses precision. As in AIMET an override for one op type reaches
// its parameters; of activations, which are shared with other ops, only those become float16 that
// lie between ops which all override to float16.

namespace rung::quantsim {

namespace {

using Kernels = std::vector<SupportedKernel>;

constexpr KernelPrecision kHalf{16, true};

/// A precision and the option or setting that it comes from.
struct Source {
  KernelPrecision precision;
  std::string rule;
};

/// An integer of 32 bits lets everything pass: that is float32.
bool is_same(const KernelPrecision& a, const KernelPrecision& b) {
  return a == b || (a.bitwidth == kPassThroughBitwidth && b.bitwidth == kPassThroughBitwidth);
}

/// True if the list has the pair; a parameter that the kernel or the op lacks does not matter.
bool supports(const Kernels& kernels, const KernelPrecision& activation,
              const std::optional<KernelPrecision>& param) {
  return std::ranges::any_of(kernels, [&](const SupportedKernel& kernel) {
    return is_same(kernel.activation, activation) &&
           (!kernel.param || !param || is_same(*kernel.param, *param));
  });
}

std::string to_string(const KernelPrecision& precision) {
  return fmt::format("{}{}", precision.is_float ? "float" : "", precision.bitwidth);
}

/// Throws Error unless `precision` can stand for `now` without losing any.
void check_override(const KernelPrecision& precision, const KernelPrecision& now,
                    const std::string& path) {
  const bool loses = precision.bitwidth < now.bitwidth || (now.is_float && !precision.is_float);
  require(!loses,
          "quantization configuration: {} is {}, less than the {} of the sim: "
          "enforce_supported_kernels can only add precision",
          path, to_string(precision), to_string(now));
}

/// Replaces the default precisions unless defaults.supported_kernels have them.
void enforce_defaults(const Kernels& kernels, Source& activation, Source& param) {
  if (kernels.empty() || supports(kernels, activation.precision, param.precision)) return;
  const std::string path = "defaults.supported_kernels[0]";
  check_override(kernels[0].activation, activation.precision, path + ".activation");
  check_override(kernels[0].param.value(), param.precision, path + ".param");
  activation = {kernels[0].activation, path};
  param = {*kernels[0].param, path};
}

/// Returns the own kernels of an op's type, empty if it has none.
const Kernels& own_kernels(const QuantSimConfig& config, const Node& node) {
  static const Kernels kNone;
  const auto op = config.op_type.find(std::string(node.type()));
  return op == config.op_type.end() ? kNone : op->second.supported_kernels;
}

std::string kernels_path(const Node& node) {
  return op_type_path(node.type()) + ".supported_kernels";
}

/// Makes the activations beside an op float16 where all ops on the other side want that, too.
void enforce_half(const QuantSimConfig& config, const Node& node, const Neighbourhood& near) {
  const auto wants_half = [&](const Node& other) {
    const Kernels& kernels = own_kernels(config, other);
    return !kernels.empty() && kernels[0].activation == kHalf;
  };
  const auto wants_half_behind = [&](const Value* value) {
    return std::ranges::all_of(value->uses(), [&](const Use& u) { return wants_half(*u.node); });
  };
  const auto wants_half_before = [&](const Value* value) {
    return value->producer() == nullptr || wants_half(*value->producer());
  };
  const auto make_half = [&](const SiteList& sites) {
    for (const auto& [site, is_neighbour] : sites)
      site->precision.set(kHalf, kernels_path(node) + "[0]");
  };
  if (std::ranges::all_of(node.inputs(), wants_half_before)) make_half(near.own_inputs(node));
  if (std::ranges::all_of(node.outputs(), wants_half_behind)) make_half(near.own_outputs(node));
}

/// Replaces the precisions of an op's parameters unless its own supported_kernels have them.
void enforce_op(const QuantSimConfig& config, const KernelPrecision& activation, const Node& node,
                const Neighbourhood& near) {
  const Kernels& kernels = own_kernels(config, node);
  if (kernels.empty()) return;
  const SupportedKernel& first = kernels[0];
  const std::string path = kernels_path(node) + "[0]";
  for (const auto& [site, is_neighbour] : near.parameters(node)) {
    if (!first.param || supports(kernels, activation, site->precision.value)) continue;
    check_override(first.activation, activation, path + ".activation");
    check_override(*first.param, site->precision.value, path + ".param");
    site->precision.set(*first.param, path);
  }
  if (first.activation == kHalf && !supports(kernels, activation, {}))
    enforce_half(config, node, near);
}

std::string to_string(const Kernels& kernels) {
  std::vector<std::string> texts;
  for (const SupportedKernel& kernel : kernels) {
    const std::string activation = to_string(kernel.activation);
    texts.push_back(kernel.param ? fmt::format("{}/{}", activation, to_string(*kernel.param))
                                 : activation);
  }
  return fmt::format("{}", join(texts));
}

/// Returns which precisions the op has, "8/4", if none of the kernels runs it; empty otherwise, and
/// for an op without a quantizer, which runs in whatever its neighbours do.
std::string unsupported(const Node& node, const Kernels& kernels, const Neighbourhood& near) {
  const Site& output = near.placement().at(node.output());
  std::optional<KernelPrecision> param;
  for (const auto& [site, is_neighbour] : near.parameters(node))
    if (site->enabled.value && !param) param = site->precision.value;
  if (!output.enabled.value && !param) return {};
  if (supports(kernels, output.precision.value, param)) return {};
  const std::string activation = to_string(output.precision.value);
  return param ? fmt::format("{}/{}", activation, to_string(*param)) : activation;
}

void warn_of_unsupported(const QuantSimConfig& config, const Neighbourhood& near) {
  constexpr std::size_t kShown = 3;
  std::map<std::string, std::vector<std::string>> names;  // message -> ops
  for (const Node* node : near.graph().nodes()) {
    const bool has_own = !own_kernels(config, *node).empty();
    const Kernels& kernels = has_own ? own_kernels(config, *node) : config.supported_kernels;
    if (kernels.empty()) continue;
    const std::string precisions = unsupported(*node, kernels, near);
    if (precisions.empty()) continue;
    names[fmt::format("{}: {} (bits of activations/parameters) is not among {}",
                      has_own ? kernels_path(*node) : "defaults.supported_kernels", precisions,
                      to_string(kernels))]
        .push_back(node->name());
  }
  for (auto& [message, nodes] : names) {
    const std::size_t more = nodes.size() - std::min(nodes.size(), kShown);
    nodes.resize(nodes.size() - more);
    near.placement().warnings.push_back(fmt::format(
        "{}: {}{}", message, join(nodes), more > 0 ? fmt::format(" and {} more", more) : ""));
  }
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

}  // namespace

void assign_precisions(const QuantSimConfig& config, const QuantSimOptions& options,
                       const Neighbourhood& near) {
  const bool is_float = options.default_data_type == QuantizationDataType::floating;
  Source activation{{options.default_output_bw, is_float}, "default_output_bw"};
  Source param{{options.default_param_bw, is_float}, "default_param_bw"};
  if (options.enforce_supported_kernels)
    enforce_defaults(config.supported_kernels, activation, param);

  const Graph& graph = near.graph();
  const std::set<const Value*> weights = edge_weights(graph);
  const auto assign = [&](Site& site, bool is_edge, const Source& usual) {
    if (is_edge && options.edge_bw)
      site.precision.set({*options.edge_bw, false}, "edge_bw");
    else
      site.precision.set(usual.precision, usual.rule);
  };
  for (const Value* value : graph.values()) {
    const bool is_parameter = is_quantizable_parameter(*value);
    assign(near.placement().at(*value),
           is_parameter ? weights.contains(value) : graph.is_output(*value),
           is_parameter ? param : activation);
    if (is_parameter) continue;
    for (const Use& use : value->uses())
      assign(near.placement().input(*use.node, use.index), value->is_input(), activation);
  }
  if (options.enforce_supported_kernels)
    for (const Node* node : graph.nodes()) enforce_op(config, activation.precision, *node, near);
  warn_of_unsupported(config, near);
}

}  // namespace rung::quantsim
