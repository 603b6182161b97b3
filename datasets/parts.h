#pragma once

#include <string>

#include "rung/datasets.h"

namespace rung::datasets {

/// Returns the folder of a part, as parts_of() finds it. Throws Error if there is none.
std::string part_folder(const std::string& dir, Split split);

}  // namespace rung::datasets
