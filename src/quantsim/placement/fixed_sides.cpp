#include "quantsim/placement/fixed_sides.h"

#include <algorithm>

#include "ops/quantize/quantizer_names.h"
#include "quantsim/placement/placement.h"
#include "rung/quant/encoding.h"

namespace rung::quantsim {

Range fixed_range(const EncodingConstraints& constraints, const QuantizerHandle& quantizer,
                  const ConfigRules& rules) {
  const auto min = static_cast<float>(*constraints.min), max = static_cast<float>(*constraints.max);
  const Symmetry symmetry = quantizer.symmetry();
  const bool is_around_zero =
      symmetry == Symmetry::symmetric || symmetry == Symmetry::strict_symmetric;
  if (!rules.symmetric_constraints || !is_around_zero) return {min, max};
  const Grid grid = make_grid(quantizer.bitwidth(), symmetry);
  const auto lowest = static_cast<float>(grid.qmin), highest = static_cast<float>(grid.qmax);
  const float step = (max - min) / (highest - lowest);
  return {lowest * step, highest * step};
}

FixedSides::FixedSides(const QuantizationSimModel& sim) {
  const auto is_partial = [](const auto& entry) {
    const auto& constraints = entry.second.encoding_constraints;
    return constraints && !constraints->is_complete();
  };
  if (std::ranges::none_of(sim.config().op_type, is_partial)) return;
  const Graph model = sim.get_original_model();
  const Placement placement = decide_placement(model, sim.config(), sim.options());
  const auto add = [&](const std::string& name, const Site& site) {
    const auto& constraints = settings_of(site).constraints;
    if (constraints && !constraints->is_complete()) given_[name] = *constraints;
  };
  for (const Value* value : model.values()) add(value->name(), placement.at(*value));
  for (Node* node : model.nodes())
    for (std::size_t i = 0; i < node->inputs().size(); ++i)
      add(std::string(quantized_name(quantizer_name(Use{node, i}))), placement.input(*node, i));
}

void FixedSides::restore(QuantizerHandle quantizer) const {
  const auto found = given_.find(quantizer.name());
  if (found == given_.end() || quantizer.frozen() || quantizer.parameters().empty()) return;
  Range range = quantizer.ranges()[0];
  if (found->second.min) range.min = static_cast<float>(*found->second.min);
  if (found->second.max) range.max = static_cast<float>(*found->second.max);
  quantizer.set_range(range);
}

void FixedSides::keep_from_training(const QuantizerHandle& quantizer) const {
  const auto found = given_.find(quantizer.name());
  const bool has_min_max = dynamic_cast<const RangeQuantizer*>(&quantizer.op().quantizer());
  if (found == given_.end() || !has_min_max || quantizer.symmetry() != Symmetry::asymmetric) return;
  quantizer.parameters()[found->second.min ? 0 : 1]->set_requires_grad(false);
}

}  // namespace rung::quantsim
