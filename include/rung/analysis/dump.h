#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/graph/graph.h"

namespace rung::analysis {

struct DumpOptions {
  enum class Format {
    npy,         ///< a file of NumPy's for each tensor
    safetensors  ///< all in one file, tensors.safetensors
  } format = Format::npy;
  /// Tensors behind a quantizer are written as codes, in the smallest type of whole numbers that
  /// holds them. Float numbers are (code + offset) * scale.
  bool codes = false;
};

/// Writes every tensor of a network into a folder, batch by batch: inputs, parameters and the
/// outputs of all operations, as their readers get them, behind their quantizers. Batches follow
/// each other along the first axis; what does not depend on the inputs is there once. index.json
/// says for each tensor in network order {"name", "type", "file", "dtype", "shape", "fixed"}, and
/// of those with codes "encoding": {"bitwidth", "qmin", "qmax", "scale", "offset", "axis",
/// "blocks"}. In memory are the tensors of one batch. AIMET: LayerOutputUtil.
class RUNG_API Dump {
 public:
  /// The folder appears complete or not at all: until finish() everything lies in one with another
  /// name beside it, which is removed if there is an error. An earlier dump is replaced, an empty
  /// folder, too; throws Error for any other. The graph must outlive it.
  Dump(Graph& graph, const std::filesystem::path& folder, const DumpOptions& options = {});
  ~Dump();
  Dump(const Dump&) = delete;
  Dump& operator=(const Dump&) = delete;

  /// Returns how much memory the tensors take for each image.
  std::int64_t bytes_per_image() const;
  /// Runs the network. Throws Error for a disk that is full, and if a tensor has other extents
  /// behind the first than in the batch before.
  void add(std::span<const Tensor> inputs);
  /// Puts the folder into its place; returns how many tensors are in it. Throws Error if nothing
  /// was added.
  std::int64_t finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rung::analysis
