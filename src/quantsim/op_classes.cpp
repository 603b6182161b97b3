#include "quantsim/op_classes.h"

#include <algorithm>
#include <array>

namespace rung::quantsim {

namespace {

constexpr std::array<std::string_view, 9> kMathInvariant = {
    "Cast",    "ChannelShuffle", "Dropout",   "Flatten",  "Identity",
    "Reshape", "Squeeze",        "Transpose", "Unsqueeze"};

// Beside those: they drop or repeat numbers.
constexpr std::array<std::string_view, 16> kMoving = {
    "BatchToSpace", "Compress",     "DepthToSpace", "Expand", "Gather",    "GatherElements",
    "GatherND",     "MaxPool",      "MaxRoiPool",   "Pad",    "ReduceMax", "ReduceMin",
    "Slice",        "SpaceToBatch", "SpaceToDepth", "Split"};

}  // namespace

bool is_math_invariant(std::string_view op_type) {
  return std::ranges::find(kMathInvariant, op_type) != kMathInvariant.end();
}

bool is_grid_preserving(std::string_view op_type) {
  return is_math_invariant(op_type) || std::ranges::find(kMoving, op_type) != kMoving.end();
}

}  // namespace rung::quantsim
