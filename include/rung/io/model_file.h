#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/graph/graph.h"

// A model file (*.rung) is a valid safetensors file, so that any safetensors reader opens it. Its
// tensors are the graph's parameters, encodings included, under their own names, and the extra
// tensors under "extra:" + name. Its __metadata__ has these keys:
//
//   format              "rung"
//   rung.version        "2": the version of this layout; a reader refuses a newer one
//   rung.checksum       since version 2: of everything else, see src/io/files/checksum.h
//   rung.graph          JSON:
//     inputs            [{"name", "shape"}]
//     parameters        [{"name", "role", "requires_grad"}]     in the order of creation
//     nodes             [{"name", "type", "attributes": {..}, "inputs": [..], "outputs": [..]}]
//     outputs           [names of values]
//   rung.section.NAME   one text for each section
//
// Attributes have the names and JSON types that Op::visit shows; a float that is not finite is the
// text "inf", "-inf" or "nan".

namespace rung::io {

/// What a model file holds.
struct ModelFile {
  Graph graph = {};
  /// Texts by name, JSON by convention: quantization configuration, training state, preprocessing.
  std::map<std::string, std::string> sections = {};
  /// Further named tensors (optimizer state), in the order they were given.
  std::vector<std::pair<std::string, Tensor>> tensors = {};
};

/// What goes into a model file beside the graph.
struct ModelExtras {
  std::map<std::string, std::string> sections = {};
  std::vector<std::pair<std::string, Tensor>> tensors = {};
};

/// Writes the model atomically; the same model gives the same bytes. Throws Error if a name is
/// taken, too long or not printable, or as save_safetensors does.
RUNG_API void save_model(const std::filesystem::path& path, const Graph& graph,
                         const ModelExtras& extras = {});

/// Reads a model file, trusting nothing in it: nodes are rebuilt through make_op, Op::visit and
/// Graph::add_node, which checks order, names and shapes. Throws Error that begins with the path.
RUNG_API ModelFile load_model(const std::filesystem::path& path);

/// Returns 32 hexadecimal digits that depend on everything in the file but the sections that are
/// named: graph, numbers, texts. Two files with one hash hold the same model, bit for bit.
RUNG_API std::string hash_of(const ModelFile& file, const std::vector<std::string>& without = {});

}  // namespace rung::io
