#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"
#include "rung/io/safetensors.h"

namespace rung::io {

struct SaveWeightsOptions {
  Dtype float_dtype = Dtype::F32;  ///< or F64; or F16, BF16, rounded to nearest even
  /// Write the largest number of float_dtype for those beyond it, which otherwise are an Error.
  bool saturate = false;
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
  /// Put the largest float32 in the place of numbers beyond it, which otherwise are an Error.
  bool saturate = false;
};

/// A parameter that the file has in another shape.
struct OtherShape {
  std::string name;
  Shape file_shape;
};

/// What load_weights did not take as it stands in the file.
struct LoadWeightsReport {
  std::vector<std::string> missing = {};     ///< parameters that the file does not have
  std::vector<std::string> unexpected = {};  ///< tensors that the graph does not have
  std::vector<OtherShape> other_shapes = {};
  /// What stands in the file before all names of the graph, as "module.", and was taken off.
  std::string prefix = {};
  /// Tensors that are no part of the network, without num_batches_tracked: single numbers that
  /// tools leave there (n_averaged, total_ops), and those without the prefix; and the names of
  /// other dicts of tensors beside them (PthFile::other_dicts).
  std::vector<std::string> left_out = {};

  /// Returns one line that says so, or nothing:
  /// `read without "module." before the names; left out: "n_averaged", 9 "total_ops"`.
  RUNG_API std::string to_string() const;
};

/// Fills the graph's parameters (all but encodings) from a safetensors file or a PyTorch checkpoint
/// (see rung/io/pth.h; which of them it is shows in its first bytes), converting to float32;
/// ignores PyTorch's `*.num_batches_tracked`. One prefix before all names is taken off ("module.",
/// "_orig_mod.", "model.", any other, also several in a row), unless the graph fits with two.
/// Throws one Error that lists the missing, unexpected and mis-shaped names together, with the
/// closest candidates; the graph is unchanged then.
RUNG_API LoadWeightsReport load_weights(Graph& graph, const std::filesystem::path& path,
                                        LoadWeightsOptions options = {});

struct ConvertWeightsOptions {
  std::optional<Dtype> float_dtype = {};  ///< of floats; nothing: every tensor keeps its type
  bool saturate = false;                  ///< as in SaveWeightsOptions
};

/// What convert_weights wrote.
struct ConvertWeightsReport {
  std::int64_t tensors = 0, numbers = 0;
  std::string prefix = {};  ///< "module.", if all names begin with it, or another first part
  std::vector<std::string> left_out = {};  ///< see PthFile::other_dicts

  /// Returns one line about the prefix, or nothing: `all names begin with "module.", which stays`.
  RUNG_API std::string to_string() const;
};

/// Writes the tensors of a safetensors file or a PyTorch checkpoint to another file, *.safetensors,
/// *.pth or *.pt, under the same names. No network is needed, and without float_dtype every bit
/// stays. Throws Error as load_weights and save_weights do, and for types that torch 1.13 does not
/// have if they are to go into a checkpoint.
RUNG_API ConvertWeightsReport convert_weights(const std::filesystem::path& from,
                                              const std::filesystem::path& to,
                                              const ConvertWeightsOptions& options = {});

}  // namespace rung::io
