#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/exec/executor.h"
#include "rung/nn/data.h"

// What the values of a network are for some images: what methods that work layer by layer stand on
// (AdaRound, SeqMSE, bias correction), together with Graph::extract.

namespace rung::nn {

struct CollectOptions {
  /// At most so many batches; fewer if the epoch ends before.
  std::int64_t num_batches = std::numeric_limits<std::int64_t>::max();
  /// Runs one batch; empty: executor.forward(batch.images).
  std::function<void(Executor& executor, const Batch& batch)> forward = {};
};

/// Gets the values of the names, in their order, after every batch.
using ValuesCallback = std::function<void(const Batch& batch, std::span<const Tensor> values)>;

/// Runs batches of the next epoch in Mode::eval and shows what the named values of the graph are
/// then. The tensors are copies, which may be kept. What the executor watches is as before
/// afterwards. Throws Error for a name that is not in the graph.
RUNG_API void for_each_batch_values(Executor& executor, DataLoader& loader,
                                    const std::vector<std::string>& names,
                                    const ValuesCallback& callback,
                                    const CollectOptions& options = {});

/// Returns what the named values are for these images: one tensor per name, with the images of all
/// batches, in their order, along axis 0. Takes the memory for all of them; where one batch at a
/// time is enough there is for_each_batch_values. Throws Error for a name that is not in the graph,
/// a value that has not the same number of rows for every image, and if there is no batch.
RUNG_API std::vector<Tensor> collect_values(Executor& executor, DataLoader& loader,
                                            const std::vector<std::string>& names,
                                            const CollectOptions& options = {});

}  // namespace rung::nn
