#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rung/graph/graph.h"
#include "rung/quantsim/quantsim.h"

namespace rung::quantsim {

/// A setting of a site, and every rule that set it in order of precedence: the last one counts. A
/// rule is the JSON path of a setting, or the name of an option of the sim.
template <typename T>
struct Setting {
  struct Step {
    T value;
    std::string rule;
  };
  T value;
  std::vector<Step> steps = {};

  void set(T wanted, std::string_view rule) {
    value = wanted;
    if (!steps.empty() && steps.back().value == wanted && steps.back().rule == rule) return;
    Step& step = steps.emplace_back();
    step.value = wanted;
    step.rule = rule;
  }
  /// Returns the rule that counts; empty if nothing set it.
  std::string_view rule() const {
    return steps.empty() ? std::string_view() : std::string_view(steps.back().rule);
  }
};

/// What was decided for one place where a quantizer could stand.
struct Site {
  Setting<bool> enabled{false}, symmetric{false}, per_channel{false};
  Setting<KernelPrecision> precision{{}};
  std::optional<EncodingConstraints> constraints = {};
  /// The site whose quantizer this one's is, and the rule that says so; nullptr: it has its own.
  Site* owner = nullptr;
  std::string sharing_rule = {};
};

/// Returns the site whose settings hold for this one.
inline const Site& settings_of(const Site& site) {
  return site.owner != nullptr ? *site.owner : site;
}

/// Every place of a float graph where a quantizer could stand: behind each value and each
/// parameter, and on each edge.
class Placement {
 public:
  /// Makes sites that nothing is known about yet. The graph must outlive the placement.
  explicit Placement(const Graph& graph);

  Site& at(const Value& value) { return values_.at(&value); }
  const Site& at(const Value& value) const { return values_.at(&value); }
  /// Returns the site of input `index` of `node`: of the parameter that can have a quantizer, or of
  /// that edge alone.
  Site& input(const Node& node, std::size_t index);
  const Site& input(const Node& node, std::size_t index) const {
    return const_cast<Placement*>(this)->input(node, index);
  }

  std::vector<std::string> warnings;

 private:
  std::map<const Value*, Site> values_;
  std::map<std::pair<const Node*, std::size_t>, Site> edges_;
};

/// True if the value is a parameter that can have a quantizer: no statistics, no encodings.
bool is_quantizable_parameter(const Value& value);
/// Returns "op_type["Conv"]".
std::string op_type_path(std::string_view type);

/// Decides where a float graph gets quantizers and with which settings, without changing it. Throws
/// Error if two ops ask for opposite settings of one place at the same level of `config`, or for an
/// override that cannot be simulated.
Placement decide_placement(const Graph& graph, const QuantSimConfig& config,
                           const QuantSimOptions& options);

/// Makes the quantizer that `tensor` gets at this site, by settings_of() it.
std::unique_ptr<Quantizer> quantizer_for(const Site& site, const Value& tensor,
                                         const QuantSimConfig& config,
                                         const QuantSimOptions& options);

}  // namespace rung::quantsim
