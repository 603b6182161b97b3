#pragma once

#include <string>
#include <vector>

#include "rung/analysis/training.h"

namespace rung::analysis {

/// How the numbers of several steps become one.
enum class Sums { mean, last };

/// Calls body(name, column, Sums) for all columns of a record that have a number per point, always
/// in the same order: those of the run, then those of each weight and each quantizer by name.
template <typename Record, typename Body>
void for_each_column(Record& record, const Body& body) {
  body("loss", record.loss, Sums::mean);
  body("top1", record.top1, Sums::mean);
  body("lr", record.lr, Sums::last);
  body("gradient_norm", record.gradient_norm, Sums::mean);
  for (auto& [name, column] : record.weight_gradient_norms)
    body("weight_gradient_norms." + name, column, Sums::mean);
  for (auto& [name, range] : record.ranges) {
    body("ranges." + name + ".min", range.min, Sums::last);
    body("ranges." + name + ".max", range.max, Sums::last);
    if (range.learned) body("ranges." + name + ".gradient_norm", range.gradient_norm, Sums::mean);
  }
  for (auto& [name, codes] : record.codes) {
    body("codes." + name + ".flips", codes.flips, Sums::mean);
    body("codes." + name + ".oscillating", codes.oscillating, Sums::last);
    body("codes." + name + ".frozen", codes.frozen, Sums::last);
  }
}

/// Returns the names of these columns.
inline std::vector<std::string> columns_of(const TrainingRecord& record) {
  std::vector<std::string> names;
  for_each_column(record, [&](const std::string& name, const std::vector<double>&, Sums) {
    names.push_back(name);
  });
  return names;
}

}  // namespace rung::analysis
