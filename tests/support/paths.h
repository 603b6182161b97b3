#pragma once

#include <string>

// Where the tests find their files.

namespace paths {

/// Returns the folder of the sources, absolute.
std::string source_dir();
/// Returns tests/golden in it.
std::string golden_dir();

}  // namespace paths
