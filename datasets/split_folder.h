#pragma once

#include <string>

#include "rung/datasets.h"

namespace rung::datasets {

/// Returns the folder of a part of a dataset: DIR/train, and DIR/val or else DIR/test, if both
/// parts exist; else DIR itself for either. Throws Error if DIR is no folder, or holds nothing but
/// one of the parts.
std::string split_folder(const std::string& dir, Split split);

}  // namespace rung::datasets
