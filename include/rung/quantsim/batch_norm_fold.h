#pragma once

#include <cstdint>

#include "rung/core/export.h"
#include "rung/graph/graph.h"

// Batch norms folded in simulation (QuantSimOptions::batch_norms); the ops are described in
// rung/ops/folded_batch_norm.h.

namespace rung {

/// Makes every batch norm of the graph, folded in simulation or not, normalize by its running
/// statistics in Mode::train, too, and leave them as they are; gamma and beta go on training.
/// PyTorch: torch.nn.intrinsic.qat.freeze_bn_stats, for the last epochs of training.
RUNG_API void freeze_bn_stats(Graph& graph);
/// Undoes freeze_bn_stats: training uses and moves the batch's statistics again. PyTorch:
/// torch.nn.intrinsic.qat.update_bn_stats.
RUNG_API void update_bn_stats(Graph& graph);

/// Ends the simulation of folding: every layer gets the weight W * gamma / sigma and the bias that
/// it has computed with in Mode::eval, and the batch norm is gone. Outputs in Mode::eval stay the
/// same to the bit, and so do all encodings; the quantizer behind a batch norm is called after the
/// layer then, as if the batch norm had been folded beforehand. Returns how many were folded.
/// Throws Error, with the graph unchanged, if a folded number is not finite.
RUNG_API std::int64_t fold_simulated_batch_norms(Graph& graph);

}  // namespace rung
