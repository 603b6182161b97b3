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
};
/// Adds --init, --init-strict and --head.
void add_init_options(Command& command, InitOptions& options);

/// Throws UsageError for options that do not go together.
void check_init_options(const InitOptions& options);

/// Fills a new model from the file. Parameters of the head that have another size there, because
/// the file is for other classes, stay as they were drawn, which is said in a line; so do those
/// that options.head names. Throws Error if anything else does not fit.
void load_initial_weights(Graph& graph, const std::string& model,
                          const models::ModelOptions& model_options, const InitOptions& options,
                          const Console& console);

}  // namespace rung::cli
