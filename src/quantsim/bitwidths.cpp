#include <algorithm>
#include <map>
#include <set>

#include "core/format.h"
#include "quantsim/target.h"

// Bitwidths come from the options. A target machine lists in supported_kernels which pairs of
// (activation, parameter) it runs; with enforce_supported_kernels the first pair of a list replaces
// bitwidths that are not in it, unless that loses precision. As in AIMET an override for one op
// type reaches its parameters only: its activations are shared with other ops.

namespace rung::quantsim {

namespace {

using Kernels = std::vector<SupportedKernel>;

/// A bitwidth and the option or setting that it comes from.
struct Bits {
  int count;
  std::string rule;
};

/// An integer of 32 bits lets everything pass: that is float32.
bool is_precision(const KernelPrecision& precision, int bits) {
  return precision.bitwidth == bits && (!precision.is_float || bits == kPassThroughBitwidth);
}

/// True if the list has the pair; a parameter that the kernel or the op lacks does not matter.
bool supports(const Kernels& kernels, int activation, std::optional<int> param) {
  return std::ranges::any_of(kernels, [&](const SupportedKernel& kernel) {
    return is_precision(kernel.activation, activation) &&
           (!kernel.param || !param || is_precision(*kernel.param, *param));
  });
}

/// Throws Error unless `precision` can stand for `now` bits without losing any.
void check_override(const KernelPrecision& precision, int now, const std::string& path) {
  require(!precision.is_float || precision.bitwidth == kPassThroughBitwidth,
          "quantization configuration: {} is float{}, which cannot be simulated; put an integer "
          "kernel first or switch enforce_supported_kernels off",
          path, precision.bitwidth);
  require(precision.bitwidth >= now,
          "quantization configuration: {} has {} bits, fewer than the {} bits of the sim: "
          "enforce_supported_kernels can only add bits",
          path, precision.bitwidth, now);
}

/// Replaces the default bitwidths unless defaults.supported_kernels have them.
void enforce_defaults(const Kernels& kernels, Bits& activation, Bits& param) {
  if (kernels.empty() || supports(kernels, activation.count, param.count)) return;
  const std::string path = "defaults.supported_kernels[0]";
  check_override(kernels[0].activation, activation.count, path + ".activation");
  check_override(kernels[0].param.value(), param.count, path + ".param");
  activation = {kernels[0].activation.bitwidth, path};
  param = {kernels[0].param->bitwidth, path};
}

/// Replaces the bitwidths of an op's parameters unless its own supported_kernels have them.
void enforce_op(const Kernels& kernels, const std::string& path, int activation,
                const SiteList& parameters) {
  for (const auto& [site, is_neighbour] : parameters) {
    const SupportedKernel& first = kernels[0];
    if (!first.param || supports(kernels, activation, site->bitwidth.value)) continue;
    if (!first.activation.is_float)
      check_override(first.activation, activation, path + "[0].activation");
    check_override(*first.param, site->bitwidth.value, path + "[0].param");
    site->bitwidth.set(first.param->bitwidth, path + "[0]");
  }
}

std::string to_string(const KernelPrecision& precision) {
  return fmt::format("{}{}", precision.is_float ? "float" : "", precision.bitwidth);
}

std::string to_string(const Kernels& kernels) {
  std::vector<std::string> texts;
  for (const SupportedKernel& kernel : kernels) {
    const std::string activation = to_string(kernel.activation);
    texts.push_back(kernel.param ? fmt::format("{}/{}", activation, to_string(*kernel.param))
                                 : activation);
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

/// Returns which bitwidths the op has, "8/4", if none of the kernels runs it; empty otherwise, and
/// for an op without a quantizer, which runs in whatever its neighbours do.
std::string unsupported(const Node& node, const Kernels& kernels, const Neighbourhood& near) {
  const Site& output = near.placement().at(node.output());
  std::optional<int> param;
  for (const auto& [site, is_neighbour] : near.parameters(node))
    if (site->enabled.value && !param) param = site->bitwidth.value;
  if (!output.enabled.value && !param) return {};
  if (supports(kernels, output.bitwidth.value, param)) return {};
  return fmt::format("{}{}", output.bitwidth.value, param ? fmt::format("/{}", *param) : "");
}

/// Ops and where their list of kernels stands.
struct Listed {
  const Node* node;
  const Kernels* kernels;
  std::string path;
};

void warn_of_unsupported(const std::vector<Listed>& ops, const Neighbourhood& near) {
  constexpr std::size_t kShown = 3;
  std::map<std::string, std::vector<std::string>> names;  // message -> ops
  for (const auto& [node, kernels, path] : ops) {
    const std::string bits = unsupported(*node, *kernels, near);
    if (!bits.empty())
      names[fmt::format("{}: {} (bits of activations/parameters) is not among {}", path, bits,
                        to_string(*kernels))]
          .push_back(node->name());
  }
  for (auto& [message, nodes] : names) {
    const std::size_t more = nodes.size() - std::min(nodes.size(), kShown);
    nodes.resize(nodes.size() - more);
    near.placement().warnings.push_back(
        fmt::format("{}: {}{}", message, fmt::join(nodes, ", "),
                    more > 0 ? fmt::format(" and {} more", more) : ""));
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

void assign_bitwidths(const QuantSimConfig& config, const QuantSimOptions& options,
                      const Neighbourhood& near) {
  Bits activation{options.default_output_bw, "default_output_bw"};
  Bits param{options.default_param_bw, "default_param_bw"};
  if (options.enforce_supported_kernels)
    enforce_defaults(config.supported_kernels, activation, param);

  const Graph& graph = near.graph();
  const std::set<const Value*> weights = edge_weights(graph);
  const auto assign = [&](Site& site, bool is_edge, const Bits& usual) {
    if (is_edge && options.edge_bw)
      site.bitwidth.set(*options.edge_bw, "edge_bw");
    else
      site.bitwidth.set(usual.count, usual.rule);
  };
  for (const Value* value : graph.values()) {
    const bool is_parameter = value->parameter() != nullptr;
    assign(near.placement().at(*value),
           is_parameter ? weights.contains(value) : graph.is_output(*value),
           is_parameter ? param : activation);
    if (is_parameter) continue;
    for (const Use& use : value->uses())
      assign(near.placement().input(*use.node, use.index), value->is_input(), activation);
  }

  std::vector<Listed> listed;
  for (const Node* node : graph.nodes()) {
    const auto op = config.op_type.find(std::string(node->type()));
    if (op == config.op_type.end() || op->second.supported_kernels.empty()) {
      if (!config.supported_kernels.empty())
        listed.push_back({node, &config.supported_kernels, "defaults.supported_kernels"});
      continue;
    }
    const std::string path = op_type_path(node->type()) + ".supported_kernels";
    const Kernels& kernels = op->second.supported_kernels;
    if (options.enforce_supported_kernels)
      enforce_op(kernels, path, activation.count, near.parameters(*node));
    listed.push_back({node, &kernels, path});
  }
  warn_of_unsupported(listed, near);
}

}  // namespace rung::quantsim
