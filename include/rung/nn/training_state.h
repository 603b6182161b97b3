#pragma once

#include <cstdint>
#include <string_view>

#include "rung/core/export.h"
#include "rung/exec/executor.h"
#include "rung/io/model_file.h"
#include "rung/nn/data.h"
#include "rung/nn/optim.h"
#include "rung/nn/train.h"

// A checkpoint is a model file (rung/io/model_file.h; of a quantized model: save_checkpoint in
// rung/quantsim/quantsim.h) with the state of training beside the model:
//
//   io::ModelExtras extras;
//   nn::add_training_state(extras, nn::training_state(executor, loader, optimizer));
//   io::save_model("step-100.rung", graph, extras);
//
//   io::ModelFile file = io::load_model("step-100.rung");     // in another process
//   ... make executor, loader and optimizer for file.graph as before ...
//   nn::load_training_state(nn::training_state_of(file, "step-100.rung"), executor, loader,
//                           optimizer);
//
// Training then goes on as if it had never stopped: with the same number of threads it ends in the
// same bits.

namespace rung::nn {

/// What training needs to go on, beside the model and what the program was told. Taken between two
/// steps: gradients are not part of it.
struct TrainingState {
  OptimizerState optimizer = {};    ///< learning rates and momentum
  DataLoaderState data = {};        ///< seed of shuffling and transforms, and the next batch
  std::uint64_t forward_count = 0;  ///< Executor::step_count: dropout, stochastic rounding
  Metrics epoch = {};               ///< of the part of the epoch that is done
};

/// Returns where training stands. Inside a loop over the loader: after the present batch.
RUNG_API TrainingState training_state(const Executor& executor, const DataLoader& loader,
                                      const Optimizer& optimizer);
/// Puts all three there. Throws Error, and changes nothing, if the state belongs to another
/// optimizer, other parameters or a loader with fewer batches.
RUNG_API void load_training_state(const TrainingState& state, Executor& executor,
                                  DataLoader& loader, Optimizer& optimizer);

/// Adds the state to what is written beside a graph: the section "training" (JSON) and the tensors
/// "optimizer." + name. Throws Error if they are there already.
RUNG_API void add_training_state(io::ModelExtras& extras, const TrainingState& state);
/// True if the file has such a section.
RUNG_API bool has_training_state(const io::ModelFile& file);
/// Reads it back, trusting nothing; `path` begins every Error.
RUNG_API TrainingState training_state_of(const io::ModelFile& file, std::string_view path);

}  // namespace rung::nn
