#pragma once

#include <string>
#include <utility>
#include <vector>

#include "io/tensors/pickle.h"

namespace rung::io {

/// The tensors of a state_dict in its order.
using NamedViews = std::vector<std::pair<std::string, PickledTensor>>;

/// What was found of a checkpoint's weights.
struct FoundStateDict {
  NamedViews tensors;
  std::vector<std::string> others;  ///< names of the other dicts of tensors beside it
};

/// Returns the tensors of the state_dict that a checkpoint is or has: under one of the usual names
/// ("state_dict", "model", ...), else the checkpoint's own tensors, else those of the only other
/// dict of tensors in it. Throws Error that begins with `path` if there is none, naming the class
/// if a whole object was pickled; if several dicts could be meant; and if a tensor of it is of a
/// kind that is not read (quantized, sparse). An optimizer's tensors are none of the others.
FoundStateDict find_state_dict(const Pickle& pickle, const std::string& path);

}  // namespace rung::io
