#pragma once

#include <string>

#include "console/command.h"
#include "console/console.h"
#include "rung/graph/graph.h"
#include "rung/models.h"

namespace rung::cli {

/// The weights that training starts from.
struct InitOptions {
  std::string file = {};  ///< empty: drawn from the seed
  std::string head = {};  ///< layers to draw anew; empty: those whose sizes differ
  bool strict = false;

  template <typename V>
  void visit(V& v) {
    v.option("--init FILE", file,
             "weights to start from, *.safetensors or *.pth, with PyTorch's names; a head for "
             "other classes is left out",
             {}, affects_result);
    v.option("--head NAME", head,
             "with --init: the layer to draw anew; default: what depends on the number of "
             "classes, if its size differs",
             {}, affects_result_if_given);
    v.flag("--init-strict", strict, "with --init: every size must fit");
  }
};

/// Throws UsageError for options that do not go together.
void check_init_options(const InitOptions& options);

/// Fills a new model from the file. Parameters of the head that have another size there, because
/// the file is for other classes, stay as they were drawn, which is said in a line; so do those
/// that options.head names. Throws Error if anything else does not fit.
void load_initial_weights(Graph& graph, const std::string& model,
                          const models::ModelOptions& model_options, const InitOptions& options,
                          const Console& console);

}  // namespace rung::cli
