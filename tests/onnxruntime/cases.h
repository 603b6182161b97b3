#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rung/rung.h"

// Compares networks in ONNX Runtime with ours: prepare() writes models and inputs, run.js runs
// them, compare() looks at what came out.

namespace agreement {

/// What has to agree.
enum class Kind {
  real,     ///< the outputs, as real numbers
  layers,   ///< the codes of each layer on the codes that ONNX Runtime has in front of it
  outputs,  ///< 99.9 % of the outputs exactly, or all of them to 60 dB (signal to noise)
  labels,   ///< the codes of the logits, and how many of the images are classified right
};

/// One network with its input. Files are named after it: NAME.onnx, NAME.rung, NAME.in.
struct Case {
  std::string name;
  Kind kind = Kind::real;
  double tolerance = 1e-4;  ///< of `real`, relative to the largest number
  /// A session as users make it, without options.
  bool default_settings = false;
  bool float_biases = false;  ///< in the file
};

/// Adds a case: a sim and its input.
using AddSim =
    std::function<void(const Case&, const rung::QuantizationSimModel&, const rung::Tensor&)>;
/// Adds what has to run with default settings: every number of bits, and what went wrong before.
void add_default_settings(const AddSim& add);

/// Writes the cases; `all` adds the slow ones, among them those of a trained float model of
/// Fashion-MNIST, if given.
void prepare(const std::string& folder, bool all, const std::string& trained);

/// Prints one line per case. Returns whether all agree.
bool compare(const std::string& folder);

}  // namespace agreement
