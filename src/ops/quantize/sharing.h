#pragma once

#include <vector>

#include "rung/graph/graph.h"

namespace rung {

/// Returns the quantizer nodes that read the same min and max as this one, itself included: they
/// are one quantizer in several places (AIMET: one quantizer object), and all settings but
/// `enabled` are common to them.
std::vector<Node*> sharing_nodes(Node& quantizer);

/// Gives the others that share this quantizer's parameters its settings and initialized state.
void share_settings(Node& quantizer);

}  // namespace rung
