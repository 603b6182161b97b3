// Parsed once per build instead of once per file: what nearly every source of the library includes.
// Sources include what they use all the same; -Db_pch=false builds without this file.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/check.h"
#include "core/join.h"
#include "rung/core/rng.h"
#include "rung/core/tensor.h"
