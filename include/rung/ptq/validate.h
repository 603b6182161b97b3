#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

namespace rung::ptq {

enum class Severity {
  note,     ///< worth knowing
  warning,  ///< works, but hardly as meant
  error,    ///< will fail, or compute nonsense
};

/// One thing that a check found.
struct Finding {
  Severity severity = Severity::error;
  std::string where;    ///< name of a node or tensor
  std::string problem;  ///< what is the matter, with numbers
  std::string remedy;   ///< what to do about it
};

struct RUNG_API ValidationReport {
  std::vector<Finding> findings;  ///< in the order of the checks
  /// True if nothing is an error.
  bool ok() const;
  std::string to_string() const;
};
/// Prints two lines per finding and a summary.
RUNG_API std::ostream& operator<<(std::ostream& out, const ValidationReport& report);

/// Looks at a graph and returns what is wrong with it.
using ModelCheck = std::function<std::vector<Finding>(const Graph&)>;

/// Looks for what would spoil quantization or export before it does. AIMET: ModelValidator.
class RUNG_API ModelValidator {
 public:
  /// Knows the checks of this library:
  /// errors: an inconsistent graph, one without outputs; ops that no file can bring back and ONNX
  ///   does not know; parameters with NaN or infinite elements; batch norms whose variance is
  ///   negative; enabled quantizers without an encoding.
  /// warnings: parameters that several nodes read; batch norms that cannot be folded, and why;
  ///   channels of a batch norm whose variance is 0; quantizers that no input reaches or whose
  ///   output nobody reads; nodes that no output depends on; inputs that nobody reads.
  /// notes: batch norms that could be folded.
  ModelValidator();

  /// Adds a check of your own; it runs after the others. AIMET: ModelValidator.add_check.
  void add_check(ModelCheck check) { checks_.push_back(std::move(check)); }

  /// Runs every check; changes nothing. AIMET: ModelValidator.validate_model.
  ValidationReport validate_model(const Graph& graph) const;

 private:
  std::vector<ModelCheck> checks_;
};

/// Runs the checks of this library.
RUNG_API ValidationReport validate_model(const Graph& graph);

}  // namespace rung::ptq
