#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "quantsim/placement/version_rules.h"

// Several places may have one quantizer. AIMET: propagate_output_encodings, when a sim is made.

namespace rung::quantsim {

namespace {

/// True for ops that sharing goes through: those that AIMET looks behind.
bool is_looked_through(const Node& node) {
  return node.op().traits().math_invariant() && node.type() != "Flatten" &&
         node.type() != "Dropout";
}

class Sharing {
 public:
  Sharing(const QuantSimConfig& config, const Neighbourhood& near) : config_(config), near_(near) {}

  void apply() {
    // Consumers first: what is behind a Concat that another one reads is the other one's.
    std::vector<Node*> nodes = near_.graph().nodes();
    std::ranges::reverse(nodes);
    for (const Node* node : nodes) {
      const std::string_view rule = rule_for(*node);
      if (rule.empty()) continue;
      Site& output = near_.placement().at(node->output());
      if (!output.enabled.value) continue;
      Site& owner = output.owner != nullptr ? *output.owner : output;
      const std::string reason = fmt::format("{} of {}", rule, node->name());
      for (std::size_t i = 0; i < node->inputs().size(); ++i) reach({node, i}, owner, reason);
    }
  }

 private:
  struct Input {
    const Node* node;
    std::size_t index;
  };

  std::string_view rule_for(const Node& node) const {
    const ConfigRules& rules = config_.rules;
    if (node.type() == "Concat" && rules.share_concat_inputs) return "rung.share_concat_inputs";
    if (node.type() == "Relu" && rules.share_relu_quantizer) return "rung.share_relu_quantizer";
    if (node.type() == "Resize" && rules.share_resize_quantizer && !config_.hw_version.empty())
      return "rung.share_resize_quantizer";
    return {};
  }

  /// Makes the quantizer that an input comes through the owner's. Constants keep theirs: what is
  /// behind the op is quantized as they are.
  void reach(const Input& input, Site& owner, const std::string& reason) {
    const Value& value = *input.node->inputs()[input.index];
    if (value.parameter() != nullptr) return;
    // Another reader would lose what lies outside of the fixed range.
    if (value.uses().size() > 1 && owner.constraints) return;
    const Node* producer = value.producer();
    Site& site = producer == nullptr ? near_.placement().input(*input.node, input.index)
                                     : near_.placement().at(value);
    if (producer == nullptr && !site.enabled.value) site.enabled.set(true, reason);
    if (site.enabled.value && &site != &owner) {
      site.owner = &owner;
      site.sharing_rule = reason;
    }
    if (producer == nullptr || !is_looked_through(*producer)) return;
    for (std::size_t i = 0; i < producer->inputs().size(); ++i) reach({producer, i}, owner, reason);
  }

  const QuantSimConfig& config_;
  const Neighbourhood& near_;
};

}  // namespace

void share_quantizers(const QuantSimConfig& config, const Neighbourhood& near) {
  Sharing(config, near).apply();
}

}  // namespace rung::quantsim
