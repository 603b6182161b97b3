#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/shape.h"

namespace rung::io {

/// What stands in a file before all names of a model: "module." (DataParallel, AveragedModel),
/// "_orig_mod." (torch.compile), "model." (PyTorch Lightning), any other, or several of them.
struct NamePrefix {
  std::string text = {};      ///< empty if the names fit best as they are
  std::size_t found = 0;      ///< how many of the wanted names are there with it
  std::string other = {};     ///< another prefix with which all are there, too
  bool is_ambiguous = false;  ///< whether there is one
};

/// Returns the prefix with which most of the `wanted` names are in a file, which has `names`; the
/// shortest of several.
NamePrefix find_prefix(const std::vector<std::string>& wanted,
                       const std::vector<std::string>& names,
                       const std::function<bool(const std::string&)>& has);

/// True for what tools leave beside weights: one number that is no parameter by its name, such as
/// n_averaged (torch.optim.swa_utils), total_ops and total_params (thop), num_batches_tracked.
bool is_bookkeeping(std::string_view name, const Shape& shape);

/// Returns names as a short text: "n_averaged, 9 total_ops": by their last part, with its count if
/// there are several.
std::string summary_of(const std::vector<std::string>& names);

}  // namespace rung::io
