#pragma once

#include "rung/nn/data.h"

namespace rung::datasets {

/// True for a dataset of npy() whose images are floats: they are not pixels from 0 to 1, but
/// whatever was stored.
bool holds_floats(const nn::Dataset& dataset);

}  // namespace rung::datasets
