#include "quantsim/placement/fixed_sides.h"

#include <algorithm>

#include "quantsim/placement/placement.h"

namespace rung::quantsim {

FixedSides::FixedSides(const QuantizationSimModel& sim) {
  const auto is_partial = [](const auto& entry) {
    const auto& constraints = entry.second.encoding_constraints;
    return constraints && !constraints->is_complete();
  };
  if (std::ranges::none_of(sim.config().op_type, is_partial)) return;
  const Graph model = sim.get_original_model();
  const Placement placement = decide_placement(model, sim.config(), sim.options());
  for (const Value* value : model.values()) {
    const Site& site = placement.at(*value);
    if (site.constraints && !site.constraints->is_complete())
      given_[value->name()] = *site.constraints;
  }
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
