#pragma once

#include <string>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

namespace rung::analysis {

/// Returns a drawing of the network in Graphviz's language
/// (https://graphviz.org/doc/info/lang.html): a box for every operation with its type, its name,
/// attributes that are no defaults and its parameters; an arrow for every value that is read, with
/// its shape and the bits of the quantizer that works on it. Names may be anything: they are
/// escaped.
RUNG_API std::string to_dot(const Graph& graph);

}  // namespace rung::analysis
