#include "ops/op_classes.h"

#include <algorithm>
#include <array>

#include "rung/ops/resize.h"
#include "rung/ops/shape_ops.h"

namespace rung {

namespace {

constexpr std::array<std::string_view, 9> kMathInvariant = {
    "Cast",    "ChannelShuffle", "Dropout",   "Flatten",  "Identity",
    "Reshape", "Squeeze",        "Transpose", "Unsqueeze"};

// Beside those: they drop or repeat numbers.
constexpr std::array<std::string_view, 15> kMoving = {
    "BatchToSpace",   "Compress", "DepthToSpace", "Expand",       "Gather",
    "GatherElements", "GatherND", "MaxPool",      "MaxRoiPool",   "ReduceMax",
    "ReduceMin",      "Slice",    "SpaceToBatch", "SpaceToDepth", "Split"};

constexpr std::array<std::string_view, 11> kTruth = {"And",   "Equal", "Greater", "GreaterOrEqual",
                                                     "IsInf", "IsNaN", "Less",    "LessOrEqual",
                                                     "Not",   "Or",    "Xor"};

}  // namespace

bool is_math_invariant(std::string_view op_type) {
  return std::ranges::find(kMathInvariant, op_type) != kMathInvariant.end();
}

bool is_grid_preserving(const Op& op) {
  if (const auto* resize = dynamic_cast<const Resize*>(&op)) return resize->mode == "nearest";
  // Every grid has a zero, but perhaps not another number.
  if (const auto* pad = dynamic_cast<const Pad*>(&op))
    return pad->mode != "constant" || pad->value == 0.0f;
  return is_math_invariant(op.type()) || std::ranges::find(kMoving, op.type()) != kMoving.end();
}

bool gives_truth(std::string_view op_type) {
  return std::ranges::find(kTruth, op_type) != kTruth.end();
}

}  // namespace rung
