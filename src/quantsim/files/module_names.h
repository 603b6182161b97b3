#pragma once

#include <map>
#include <set>
#include <string>

#include "quantsim/files/file_content.h"
#include "rung/graph/graph.h"

namespace rung::quantsim {

/// Returns our name, by theirs, of each of these modules of a file that differs from ours in the
/// name only. AIMET's prepare_model makes modules of calls: of the second call of `relu` in a block
/// `module_relu_1`, of a sum `module_add_4`. A name that no node has belongs to a module with
/// quantizers that the file does not name if both have the same parent and are of the same kind,
/// and the parent has as many of these here as there: they are matched in the order of their calls.
std::map<std::string, std::string> renamed_modules(const std::set<std::string>& theirs,
                                                   const Graph& graph);

/// Returns the modules that a file has activations of.
std::set<std::string> modules_of(const FileContent& content);

/// Gives such modules of a file our names. Returns our name by theirs.
std::map<std::string, std::string> rename_modules(FileContent& content, const Graph& graph);

}  // namespace rung::quantsim
