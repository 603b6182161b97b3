#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"
#include "rung/io/safetensors.h"

namespace rung::io {

struct SaveWeightsOptions {
  Dtype float_dtype = Dtype::F32;  ///< or F64; or F16, BF16, rounded to nearest even
};

/// Writes weights, biases, norms and buffers (not encodings) under their names, which are PyTorch's
/// state_dict keys: as a plain safetensors file (*.safetensors), or as a PyTorch checkpoint (*.pth,
/// *.pt), which gets a num_batches_tracked of 0 for each batch norm so that load_state_dict is
/// content. Atomic; throws Error on another file name or as save_safetensors and save_pth do.
RUNG_API void save_weights(const Graph& graph, const std::filesystem::path& path,
                           const SaveWeightsOptions& options = {});

struct LoadWeightsOptions {
  /// Whether names that only the graph or only the file has are an Error (torch's strict).
  bool strict = true;
  /// Whether parameters that have another shape in the file stay as they are, and are reported:
  /// how a network for other classes begins with what was learned. Else they are an Error.
  bool skip_other_shapes = false;
};

/// A parameter that the file has in another shape.
struct OtherShape {
  std::string name;
  Shape file_shape;
};

/// What load_weights left out because its options say so.
struct LoadWeightsReport {
  std::vector<std::string> missing = {};     ///< parameters that the file does not have
  std::vector<std::string> unexpected = {};  ///< tensors that the graph does not have
  std::vector<OtherShape> other_shapes = {};
};

/// Fills the graph's parameters (all but encodings) from a safetensors file or a PyTorch checkpoint
/// (see rung/io/pth.h; which of them it is shows in its first bytes), converting to float32;
/// ignores PyTorch's `*.num_batches_tracked`. Throws one Error that lists the missing, unexpected
/// and mis-shaped names together, with the closest candidates; the graph is unchanged then.
RUNG_API LoadWeightsReport load_weights(Graph& graph, const std::filesystem::path& path,
                                        LoadWeightsOptions options = {});

}  // namespace rung::io
