#pragma once

#include <string>

#include "run/normalize.h"
#include "run/task.h"
#include "rung/graph/graph.h"

namespace rung::cli {

/// Returns the task of a network from elsewhere that is to work on a dataset's images; `model` is
/// what it is called, `path` begins every Error: it is no classifier of such images, or nobody can
/// say how they are normalized.
Task task_of_graph(const Graph& graph, const std::string& path, const std::string& model,
                   const std::string& dataset_name, const NormalizeOptions& normalize);

}  // namespace rung::cli
