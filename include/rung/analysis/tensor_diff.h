#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rung/analysis/analysis.h"
#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/graph/graph.h"
#include "rung/quant/encoding.h"

// Where two networks, or what they once computed, begin to differ.

namespace rung::analysis {

/// Where tensors come from: a network that runs, or a folder of arrays.
class RUNG_API TensorSource {
 public:
  struct Info {
    std::string name;
    std::string type = {};  ///< the op, "input", "parameter", "edge"; empty: nobody says
    Shape shape = {};
    bool fixed = false;                     ///< does not depend on the images
    std::optional<Encoding> encoding = {};  ///< if the numbers are codes times a scale
    /// Of the value in the graph that has these numbers: behind a quantizer another one than
    /// `name`.
    std::string value = {};
  };

  virtual ~TensorSource() = default;
  virtual const std::vector<Info>& tensors() const = 0;
  /// True if tensors() are in network order.
  virtual bool is_ordered() const = 0;
  /// True if it computes tensors from images.
  virtual bool runs() const = 0;
  virtual std::int64_t bytes_per_image() const = 0;
  /// Goes on to the next images; without any to all that are stored.
  virtual void next(std::span<const Tensor> inputs) = 0;
  /// Returns a tensor for these images; of stored ones as many rows as `like` has, which is the
  /// other source's (undefined: all). Throws Error if there are fewer.
  virtual Tensor numbers(std::size_t index, const ConstTensor& like) const = 0;
  /// Returns what the quantizer of a tensor got; undefined if there is none.
  virtual Tensor before(std::size_t index) const = 0;
};

/// Returns the tensors that Dump writes. The graph must outlive it.
RUNG_API std::unique_ptr<TensorSource> tensors_of(Graph& graph);
/// Returns those of a folder: of a dump, or *.npy and *.safetensors files of another tool, where
/// NAME.npy is the value NAME of the graph, else the tensor NAME; characters that Dump does not put
/// into names of files may be "_". Throws Error if there are none, and for damaged files.
RUNG_API std::unique_ptr<TensorSource> tensors_in(const std::filesystem::path& folder);

/// How two tensors differ.
struct TensorDifference {
  std::string name, other_name;  ///< in the first and in the second source
  std::string type = {};
  bool by_position = false;          ///< matched by its place: names differ
  std::string misfit = {};           ///< why numbers were not compared: "[3, 4] and [4]"
  std::int64_t different = 0;        ///< numbers beyond the tolerance
  double largest = 0.0, mean = 0.0;  ///< of |first - second|
  Error error = {};                  ///< of the second, the first being what is expected

  /// Numbers by the distance of their codes, where those of both lie on the same grid.
  struct Codes {
    std::int64_t equal = 0, one = 0, two = 0, more = 0;
    friend bool operator==(const Codes&, const Codes&) = default;
  };
  std::optional<Codes> codes = {};
  /// Numbers that were within 1e-4 of a step of the middle between two codes before they were
  /// quantized, and those of them that differ: rounding noise decides their code. Known where one
  /// of the two is a network.
  struct Ties {
    std::int64_t count = 0, different = 0;
    friend bool operator==(const Ties&, const Ties&) = default;
  };
  std::optional<Ties> ties = {};

  bool differs() const { return different > 0 || !misfit.empty(); }
};

struct TensorDiffResult {
  std::vector<TensorDifference> tensors;  ///< in network order
  std::vector<std::string> only_first, only_second;
  std::int64_t by_name = 0, by_position = 0;
  /// Returns the first that differs; nullptr if none does.
  RUNG_API const TensorDifference* first() const;
};

struct TensorDiffOptions {
  /// Numbers a, b are the same if |a - b| <= tolerance * max(1, |a|).
  double tolerance = 0.0;
};

/// Compares two sources tensor by tensor, batch by batch; in memory are the tensors of one batch,
/// or one tensor of stored ones. Tensors belong together that have the same name; between those
/// the remaining ones by their place, if they are as many, of the same types and shapes.
class RUNG_API TensorDiff {
 public:
  /// Throws Error if no two tensors belong together. The sources must outlive it.
  TensorDiff(TensorSource& first, TensorSource& second, const TensorDiffOptions& options = {});
  ~TensorDiff();
  TensorDiff(const TensorDiff&) = delete;
  TensorDiff& operator=(const TensorDiff&) = delete;

  /// Compares what both make of the network's inputs. Of two folders: call it once, without any.
  void add(std::span<const Tensor> inputs);
  TensorDiffResult result() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rung::analysis
