#pragma once

#include <memory>

#include "rung/core/attributes.h"
#include "rung/quant/quantizer.h"
#include "rung/quant/range_estimator.h"

namespace rung {

/// Shows a visitor everything that makes a quantizer beside its parameters. If the visitor writes
/// another kind or other options, another quantizer is made. Throws Error for an unknown kind and
/// impossible settings.
void visit_quantizer(AttributeVisitor& visitor, std::unique_ptr<Quantizer>& quantizer);
/// The same for a range estimator: its name and its options, nothing that it has seen.
void visit_range_estimator(AttributeVisitor& visitor, std::unique_ptr<RangeEstimator>& estimator);

}  // namespace rung
