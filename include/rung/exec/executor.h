#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/held.h"
#include "rung/core/tensor.h"
#include "rung/graph/graph.h"
#include "rung/ops/tuning.h"

namespace rung {

/// `blocked` lets convolutions choose; `plain` keeps row-major everywhere, for debugging.
enum class LayoutPolicy { blocked, plain };
/// `arena` reuses memory as soon as the last reader is done, and keeps what backward needs of
/// quantized numbers as codes; `keep_all` neither, for inspection.
enum class MemoryPolicy { arena, keep_all };

struct ExecutorOptions {
  LayoutPolicy layout = LayoutPolicy::blocked;
  MemoryPolicy memory = MemoryPolicy::arena;
  ConvAlgorithm conv_algorithm = ConvAlgorithm::automatic;
  std::shared_ptr<ConvChoices> conv_choices = {};  ///< measured, instead of the fixed rules
  /// Run Conv, BatchNormalization or Add, and the Add, Relu and quantizer behind it, as one kernel.
  bool fuse = true;
  /// In Mode::eval, sum the codes of a Conv's or Gemm's quantized inputs, not the real numbers.
  bool exact = true;
  bool profile = false;    ///< measure the time of every step, see profile()
  std::uint64_t seed = 0;  ///< of dropout and stochastic rounding
};

class Observers;
class Plan;

/// Runs a graph forward and backward. Compiles a plan per (graph version, input shapes, mode) on
/// first use and keeps the last 8; they share one arena. Belongs to one thread. The graph must
/// outlive it; several executors may share a graph, each with an arena of its own.
class RUNG_API Executor {
 public:
  explicit Executor(Graph& graph, ExecutorOptions options = {});
  ~Executor();
  Executor(Executor&&) noexcept;
  Executor& operator=(Executor&&) noexcept;

  /// Runs the graph on one input and returns its one output (a tensor of its own).
  Tensor forward(const Tensor& input, Mode mode = Mode::eval);
  std::vector<Tensor> forward(std::span<const Tensor> inputs, Mode mode = Mode::eval);
  /// Adds d loss / d parameter to every parameter's gradient, given d loss / d output. Throws Error
  /// unless the last call was a forward in Mode::train.
  void backward(const Tensor& output_gradient);
  void backward(std::span<const Tensor> output_gradients);

  /// Calls `listener` in every backward with each parameter as soon as its gradient is complete,
  /// the last layers' first: what sends gradients away need not wait for the end of backward. It
  /// must not use the executor. An empty listener ends that.
  void on_gradient(std::function<void(Parameter& parameter)> listener);

  /// Keeps the named values readable after forward (their producers are then not fused away), and
  /// their gradients after backward, those of the graph's inputs too.
  void watch(std::vector<std::string> names);
  const std::vector<std::string>& watched() const;
  /// Returns a copy of a watched value (or a graph input or output) of the last forward.
  Tensor value(std::string_view name) const;

  /// Returns d loss / d value of a watched value or a parameter: for a value, of the backward that
  /// was the last call; for a parameter, what its gradient has added up to. Throws Error if it is
  /// not watched, or the loss does not depend on it.
  Tensor gradient(std::string_view name) const;

  /// Lets a calibration see what goes through the quantizers that `observers` knows, in every
  /// forward of this executor until the returned object dies; the quantizers pass it on unchanged
  /// meanwhile. Other executors of the graph go on as before. Inside of another one it takes its
  /// place. The executor and the observers must outlive the object.
  class Observing;
  [[nodiscard]] Observing observe(Observers& observers);
  /// Returns those of the last observe() whose object still lives, or nullptr.
  Observers* observers() const;

  Graph& graph() const;
  /// Compiles, without running, the plan for these input shapes.
  const Plan& plan(std::span<const Shape> input_shapes, Mode mode);
  /// Returns the plan of the last forward; throws Error before the first.
  const Plan& plan() const;
  /// Sets ExecutorOptions::seed, from the next forward on.
  void set_seed(std::uint64_t seed);
  /// Sets ExecutorOptions::conv_algorithm and conv_choices; plans are compiled again.
  void set_conv_algorithm(ConvAlgorithm algorithm, std::shared_ptr<ConvChoices> choices = {});
  /// The state of the random generator behind dropout: for bit-identical resumption.
  std::uint64_t step_count() const;
  void set_step_count(std::uint64_t steps);

 private:
  struct Impl;
  Held<std::unique_ptr<Impl>> impl_;
};

/// A calibration while it lives, see Executor::observe.
class RUNG_API Executor::Observing {
 public:
  ~Observing() { place_ = before_; }
  Observing(const Observing&) = delete;
  Observing& operator=(const Observing&) = delete;

 private:
  friend class Executor;
  Observing(Observers*& place, Observers& observers)
      : place_(place), before_(std::exchange(place, &observers)) {}
  Observers*& place_;
  Observers* before_;
};

/// Figures of a compiled plan.
struct PlanStats {
  std::int64_t forward_steps = 0, backward_steps = 0, reorders = 0;
  std::int64_t arena_bytes = 0;      ///< planned, shared by lifetimes
  std::int64_t unplanned_bytes = 0;  ///< what the same buffers would need without sharing
};
RUNG_API PlanStats stats(const Plan& plan);

/// What one step of a plan cost, in the mean of its runs but the first, which prepares things.
/// Steps that had nothing to do (weights that did not change) count as run.
struct StepProfile {
  std::string name;    ///< of the node or tensor
  std::string kernel;  ///< as in the printed plan
  double seconds = 0;
  double flops = 0;  ///< floating-point operations, 0 where memory is the limit
  double bytes = 0;  ///< of the tensors read and written, padding included
};
/// Returns the steps in the order in which they run, forward and backward; empty unless
/// ExecutorOptions::profile was set and the plan has run.
RUNG_API std::vector<StepProfile> profile(const Plan& plan);
/// Returns a text: the step at which most memory is in use, and the `count` largest buffers of the
/// plan with the steps between which they live.
RUNG_API std::string memory_report(const Plan& plan, std::size_t count = 10);
RUNG_API std::string to_string(const Plan& plan);
/// Returns the names of the passes that make a plan, in their order.
RUNG_API std::vector<std::string> plan_passes();
/// Returns a text: the plan for these input shapes as it is after one of the passes. Throws Error
/// if there is no such pass.
RUNG_API std::string plan_after(std::string_view pass, const Graph& graph,
                                std::span<const Shape> input_shapes, Mode mode,
                                const ExecutorOptions& options = {});
RUNG_API std::ostream& operator<<(std::ostream& out, const Plan& plan);

}  // namespace rung
