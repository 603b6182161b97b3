#pragma once

#include "rung/analysis/training.h"

namespace rung::analysis {

template <typename Visitor>
void visit(Visitor& v, RangeHistory& r) {
  v("learned", r.learned), v("min", r.min), v("max", r.max);
  v("gradient_norm", r.gradient_norm);
}

template <typename Visitor>
void visit(Visitor& v, CodeHistory& c) {
  v("weights", c.weights), v("flips", c.flips), v("oscillating", c.oscillating);
  v("frozen", c.frozen);
}

template <typename Visitor>
void visit(Visitor& v, EpochHistory& e) {
  v("step", e.step), v("loss", e.loss), v("top1", e.top1), v("top5", e.top5);
  v("loss_validation", e.loss_validation), v("top1_validation", e.top1_validation);
  v("top5_validation", e.top5_validation), v("lr", e.lr), v("seconds", e.seconds);
}

template <typename Visitor>
void visit(Visitor& v, TrainingRecord& r) {
  v("first_step", r.first_step), v("steps_per_point", r.steps_per_point), v("steps", r.steps);
  v("loss", r.loss), v("top1", r.top1), v("lr", r.lr), v("gradient_norm", r.gradient_norm);
  v("weight_gradient_norms", r.weight_gradient_norms), v("ranges", r.ranges);
  v("codes", r.codes), v("epochs", r.epochs);
}

/// Throws Error for what cannot be: columns that do not fit together, shares outside of 0 .. 1.
void check(const TrainingRecord& record);

}  // namespace rung::analysis
