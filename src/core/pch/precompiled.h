// Parsed once per build instead of once per file: what nearly every source of the library includes.
// Sources include what they use all the same; -Db_pch=false builds without this file.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <vector>
