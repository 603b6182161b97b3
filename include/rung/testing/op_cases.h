#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/rng.h"
#include "rung/core/tensor.h"
#include "rung/graph/graph.h"

// One table of the library's ops, a row for each: tests go through it for gradients, files and
// quantization simulation, and `rung bench ops` for times. A new op adds one row.

namespace rung::testing {

/// Which numbers an op is fed, so that small differences of them tell its derivative.
enum class Numbers {
  any,             ///< -0.7 .. 0.7
  away_from_zero,  ///< 0.1 .. 0.9 on either side, for kinks and jumps at 0
  distinct,        ///< at least 0.02 apart, in all inputs together, for maxima and comparisons
  positive,        ///< 0.5 .. 1.5
  above_one        ///< 1.5 .. 2.5
};

/// One op, as it is tested and timed.
struct OpCase {
  std::string name;  ///< the op's type and, behind a comma, what is special
  /// Adds the op to the graph of its inputs under the name "op".
  std::function<Var(std::span<const Var>)> build;
  std::vector<Shape> inputs;  ///< small, for tests
  std::vector<Shape> large;   ///< of the same meaning, for times
  Numbers numbers = Numbers::any;
  double tolerance = 1e-3;  ///< of gradients, as in GradcheckOptions
  bool smooth = true;       ///< false: it jumps or draws, so that differences tell no derivative

  /// Returns the name up to the comma.
  std::string_view type() const;
};

/// Lists a case of every op but quantizers and what batch norms folded in simulation consist of.
RUNG_API const std::vector<OpCase>& op_cases();

/// Returns a graph of the op alone whose inputs "x0", "x1", ... have these shapes; its parameters
/// are drawn.
RUNG_API Graph graph_of(const OpCase& op, std::span<const Shape> shapes);

/// Draws numbers for these inputs.
RUNG_API std::vector<Tensor> numbers_of(const OpCase& op, std::span<const Shape> shapes, Rng rng);

}  // namespace rung::testing
