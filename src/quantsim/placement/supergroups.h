#pragma once

#include "quantsim/placement/neighbourhood.h"
#include "quantsim/placement/units.h"

namespace rung::quantsim {

/// True for a convolution of 3 axes, or one whose every filter reads one channel: AIMET 2.42 has
/// these in no supergroup.
bool is_depthwise_or_3d(const Node& node);

/// Switches off every quantizer inside the configuration's supergroups and inside ops that are
/// spelled out, and leaves batch norms that can be folded as they will be after folding.
void apply_supergroups(const QuantSimConfig& config, const Units& units, const Neighbourhood& near);

}  // namespace rung::quantsim
