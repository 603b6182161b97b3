#pragma once

#include "quantsim/placement/neighbourhood.h"

// What the target machine has to say, after everything else. Rebuilt from AIMET's description, and
// where the golden data of 2.42 have it (MatMul up to V69) compared with its results.

namespace rung::quantsim {

/// Gives every site its precision: the options', or what supported_kernels enforce; adds warnings
/// about ops whose precisions are not among theirs. Throws Error if an override would lose some.
void assign_precisions(const QuantSimConfig& config, const QuantSimOptions& options,
                       const Neighbourhood& near);

/// Applies the rules that config.hw_version has about some op types. AIMET: exception rules.
void apply_hardware_rules(const QuantSimConfig& config, const Neighbourhood& near);

/// True if there are rules for this hw_version, or it is known to have none.
bool is_known_hardware(std::string_view version);

}  // namespace rung::quantsim
