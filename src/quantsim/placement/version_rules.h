#pragma once

#include "quantsim/placement/neighbourhood.h"
#include "quantsim/placement/units.h"

// What config.rules say beyond AIMET's levels of settings.

namespace rung::quantsim {

/// Takes the quantizers behind ops that only move numbers, unless op_type names the op.
void spare_data_movement(const QuantSimConfig& config, const Neighbourhood& near);

/// Gives the constant factors of Neighbourhood quantizers, where model inputs have some.
void quantize_constant_factors(const QuantSimConfig& config, const Neighbourhood& near);

/// Takes the quantizers behind products with and quotients by positive constants.
void spare_constant_products(const QuantSimConfig& config, const Units& units,
                             const Neighbourhood& near);

/// Takes the quantizers of activations that are called more than once, unless both ends are fixed.
/// Only names tell: PyTorch writes /relu/Relu, /relu_1/Relu, ... for the calls of one module.
void spare_reused_layers(const QuantSimConfig& config, const Units& units,
                         const Neighbourhood& near);

/// Gives a constraint [-a, a] a symmetric grid.
void set_symmetric_constraints(const QuantSimConfig& config, const Neighbourhood& near);

/// Decides which quantizers are one: those of the inputs and the output of a Concat, a Relu, or a
/// Resize.
void share_quantizers(const QuantSimConfig& config, const Neighbourhood& near);

}  // namespace rung::quantsim
