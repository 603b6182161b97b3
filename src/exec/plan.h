#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exec/program.h"
#include "rung/core/tensor.h"

namespace rung {

/// What is particular to one forward pass.
struct Run {
  std::uint64_t step = 0, seed = 0;  ///< of the random generators
  const Observers* observers = nullptr;
};

/// Is told of each parameter whose gradient is complete; may be empty.
using GradientListener = std::function<void(Parameter& parameter)>;

/// Runs a program: two loops over lists of steps.
class Plan {
 public:
  /// `program` is the graph's; `profiled`: the time of every step is measured.
  Plan(const Graph& graph, Program program, bool profiled);

  const Program& program() const { return program_; }
  std::uint64_t graph_version() const { return graph_version_; }
  /// False if an op can be treated otherwise now: a quantizer of another bitwidth.
  bool is_current() const;

  /// Makes every pointer valid for an arena of program().arena_bytes at `base`.
  void bind(std::byte* base);
  void forward(std::span<const Tensor> inputs, const Run& run);
  void backward(std::span<const Tensor> output_gradients, const GradientListener& on_gradient);
  std::vector<Tensor> outputs() const;
  /// Returns a copy of a kept value, or an undefined tensor if the plan does not keep it.
  Tensor value(std::string_view name) const;
  /// Returns a copy of the gradient of a watched value after backward, or an undefined tensor.
  Tensor gradient(std::string_view name) const;
  std::vector<StepProfile> profile() const;

 private:
  /// What running a step has prepared and learned.
  struct StepState {
    std::vector<View> inputs, outputs, output_grads, input_grads;
    void* workspace = nullptr;
    void* scratch = nullptr;
    std::vector<std::uint64_t> seen;  ///< from_parameters: versions of what it last ran on
    double seconds = 0;               ///< of all runs but the first, if profiled
    std::int64_t runs = 0;
  };
  /// What is known of a buffer besides its place.
  struct BufferState {
    Tensor kept;  ///< its memory if the plan keeps it: bytes
    std::byte* kept_at = nullptr;
    std::uint64_t version = 0;  ///< of kept memory: changes when it is computed again
    double reach = std::numeric_limits<double>::infinity();  ///< View::reach
  };
  /// Parameters that have to be legal before anything reads them.
  struct Constrained {
    const Op* op;
    std::vector<Parameter*> parameters;    ///< per input of the node, or nullptr
    std::vector<std::uint64_t> seen = {};  ///< their versions when they were made legal
  };
  /// What is_current() looks at, as it was.
  struct Treatment {
    const Op* op;
    bool can_be_tail, fits_byte;
  };

  void* memory(int buffer) const;
  std::vector<View> views(const std::vector<int>& buffers);
  void run(const Step& step, StepState& state, const Run& run);
  void execute(const Step& step, StepState& state, const Run& run);
  void execute_forward(const Step& step, StepState& state, const Run& run);
  void refresh(const std::vector<int>& list, std::vector<View>& views) const;
  bool is_stale(const Step& step, StepState& state, const Run& run);
  void constrain();
  Tensor copy_out(int buffer) const;

  bool profiled_;
  std::uint64_t graph_version_;
  Program program_;
  std::vector<StepState> forward_, backward_;  // as program_'s lists
  std::vector<BufferState> buffers_;
  std::vector<Constrained> constrained_;
  std::vector<Treatment> treatments_;
  std::vector<std::uint64_t> versions_;  // as they are now, to be compared
  std::uint64_t derived_version_ = 0;
  std::byte* base_ = nullptr;
};

}  // namespace rung
