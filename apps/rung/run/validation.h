#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "console/command.h"
#include "rung/core/rng.h"
#include "rung/nn/data.h"

namespace rung::cli {

/// Which images tell, while a model is trained, how good it is: never those of the test.
struct ValidationOptions {
  std::optional<double> split;  ///< share of the training images that is held out
  std::string dir = {};         ///< a folder of its own; empty: none
  std::optional<std::int64_t> patience;
  bool needed = false;  ///< something is chosen by them

  template <typename V>
  void visit(V& v) {
    v.group("Validation");
    v.option("--val-split X", split,
             "hold this share of the training images out, to see after each epoch how good the "
             "model is; default: 0.1 with --keep-best or --patience, else none",
             between(0, 1));
    v.option("--val-data DIR", dir,
             "use the images in this folder for that; default: those of the folder val beside "
             "train and test, if there are all three");
    v.option("--patience N", patience,
             "stop after N epochs in which that accuracy did not rise, and keep the best "
             "model, as OUT.best",
             between(1, 1e6), affects_result_if_given);
  }
};

/// The share that is held out if something needs validation images and nothing says which.
inline constexpr double kUsualSplit = 0.1;

/// Images of one dataset in two parts, in their old order.
struct HeldOut {
  std::vector<std::int64_t> training, validation;
};
/// Holds out a share of a dataset, of each class about as much. Both parts have an image at least;
/// throws Error if there are fewer than two.
HeldOut hold_out(const nn::Dataset& dataset, double share, Rng rng);

}  // namespace rung::cli
