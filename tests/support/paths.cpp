#include "support/paths.h"

// The only file that is compiled with the place of the checkout: the objects of all the others are
// the same in every clone, and a compiler cache may share them.

namespace paths {

std::string source_dir() { return RUNG_TEST_SOURCE_DIR; }
std::string golden_dir() { return source_dir() + "/tests/golden"; }

}  // namespace paths
