#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exec/program.h"

namespace rung {

/// What passes work from.
struct Source {
  const Graph& graph;
  const ExecutorOptions& options;
  std::span<const std::string> watched;  ///< values of which somebody reads numbers and gradients
  std::span<const std::string_view> without;  ///< passes to leave out, for tests

  bool is_watched(const Value& value) const;
};

// In this order. Without derive, overwrite or pack numbers are the same.

/// Finds the shape of every value from those of the inputs; throws Error where they do not fit.
void infer_shapes(Program& program, const Source& source);
/// Lists the graph's nodes in order, chains that one kernel can compute as one group.
void group(Program& program, const Source& source);
/// Decides which groups compute with codes instead of real numbers: evaluation's exact mode.
void represent(Program& program, const Source& source);
/// Compiles every task in the format that it is fastest in, with reorders where formats differ.
void lay_out(Program& program, const Source& source);
/// Rounds biases to the numbers that their int32 codes mean, where the graph says so.
void round_biases(Program& program, const Source& source);
/// Finds what depends on parameters only: it is kept, and computed again when they change.
void derive(Program& program, const Source& source);
/// Lets kernels write over an input that nobody else reads: in evaluation.
void overwrite(Program& program, const Source& source);
/// Writes the backward list: reverse-mode differentiation of the forward list.
void differentiate(Program& program, const Source& source);
/// Keeps a byte per number from forward to backward where a quantizer wrote it.
void pack(Program& program, const Source& source);
/// Finds for each buffer when it is written first and read last.
void find_lifetimes(Program& program, const Source& source);
/// Gives buffers of the arena their offsets: those alive at the same time never overlap.
void place(Program& program, const Source& source);

struct Pass {
  std::string_view name;
  void (*run)(Program& program, const Source& source);
};
/// All of them.
std::span<const Pass> passes();

/// Runs the passes, the last of them `until` if it is not empty. Throws Error if there is no pass
/// of this name.
Program compile(const Source& source, std::span<const Shape> input_shapes, Mode mode,
                std::string_view until = {});

}  // namespace rung
