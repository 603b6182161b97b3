// What most sources of the command line include. JSON and CLI11 are not here: the few sources that
// include them spend their time on the templates that they use, and the others would be slower.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
