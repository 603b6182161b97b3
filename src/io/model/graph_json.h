#pragma once

#include <functional>
#include <string_view>

#include "io/files/json.h"
#include "io/model/attributes.h"
#include "rung/graph/graph.h"

namespace rung::io {

/// Describes inputs, parameters (without their values), nodes with their attributes, and outputs,
/// in the layout that rung/io/model_file.h documents.
Json graph_to_json(const Graph& graph, std::string_view source);

/// Rebuilds a graph from such a description, which nobody vouches for. `value_of` returns the
/// tensor of a parameter by name; `missing` is about attributes of nodes. Throws Error naming the
/// place.
Graph graph_from_json(const JsonPlace& place,
                      const std::function<Tensor(const std::string& name)>& value_of,
                      Missing missing = Missing::refuse);

}  // namespace rung::io
