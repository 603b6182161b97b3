#pragma once

#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

namespace rung::ptq {

/// Names what prepare_model did to a node or parameter.
struct ModelChange {
  std::string where;
  std::string what;
};

struct PrepareOptions {
  /// Give every node that reads a shared parameter a copy of its own, as AIMET's preparer does with
  /// reused modules. The copies are trained apart from then on.
  bool untie_parameters = false;
};

/// Rewrites a float graph into what quantization and export want; AIMET's preparer has to make a
/// graph of Python code first, ours has only this to do. Clip from 0 upwards without an end becomes
/// Relu (supergroups know it; Clip to 6 is ReLU6 and stays); Dropout, Identity, Clip without ends,
/// Flatten and Reshape to the shape that is there, and Concat of one input are removed; so are
/// nodes that no output depends on. Names of what stays are kept. Outputs in Mode::eval are bit for
/// bit the same for finite inputs of the graph's image size; training loses its dropout. Returns
/// what was changed, in order. Throws Error, with nothing changed, if the graph has no outputs or
/// has quantizers already: prepare, fold, then quantize. AIMET: prepare_model.
RUNG_API std::vector<ModelChange> prepare_model(Graph& graph, const PrepareOptions& options = {});

}  // namespace rung::ptq
