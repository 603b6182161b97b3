#pragma once

#include <string>
#include <vector>

// Compares networks in ONNX Runtime with ours: prepare() writes models and inputs, run.js runs
// them, compare() looks at what came out.

namespace agreement {

/// What has to agree.
enum class Kind {
  real,    ///< the outputs, as real numbers
  layers,  ///< the codes of each layer on the codes that ONNX Runtime has in front of it
  labels,  ///< the codes of the logits, and how many of the images are classified right
};

/// One network with its input. Files are named after it: NAME.onnx, NAME.rung, NAME.in.
struct Case {
  std::string name;
  Kind kind = Kind::real;
  double tolerance = 1e-4;  ///< of `real`, relative to the largest number
};

/// Writes the cases; `all` adds the slow ones, among them those of a trained float model of
/// Fashion-MNIST, if given.
void prepare(const std::string& folder, bool all, const std::string& trained);

/// Prints one line per case. Returns whether all agree.
bool compare(const std::string& folder);

}  // namespace agreement
