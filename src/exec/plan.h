#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "exec/fuse.h"
#include "rung/core/tensor.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"

namespace rung {

/// Where a buffer's memory comes from.
enum class Storage {
  arena,      ///< planned, shared with buffers of other lifetimes
  parameter,  ///< the parameter's own tensor
  kept        ///< of this plan alone: derived from parameters, reused until they change
};

/// A tensor or working memory of a plan.
struct Buffer {
  std::string name;
  Shape shape;
  Format format = Format::plain;
  std::int64_t count = 0;  ///< floats, padding included
  Storage storage = Storage::arena;
  Parameter* parameter = nullptr;
  int alias = -1;           ///< the buffer whose memory this one is, or -1
  int first = -1;           ///< position on the timeline where it is written
  int last = -1;            ///< position where it is read last
  std::int64_t offset = 0;  ///< floats into the arena
  Tensor kept = {};
  std::uint64_t version = 0;              ///< of kept memory: changes when it is computed again
  std::shared_ptr<CodeScale> codes = {};  ///< set if it holds codes
  double reach = std::numeric_limits<double>::infinity();  ///< View::reach
};

enum class StepKind { forward, backward, reorder, sum, accumulate, pack, unpack, round_bias };

/// One entry of the forward or backward list.
struct Step {
  StepKind kind = StepKind::forward;
  std::string name;
  int node = -1;  ///< index into Plan::kernels; not for reorder, sum and accumulate
  std::vector<int> inputs = {}, outputs = {};            ///< buffers
  std::vector<int> output_grads = {}, input_grads = {};  ///< backward; -1 = not wanted
  int workspace = -1, scratch = -1;
  Parameter* target = nullptr;           ///< accumulate: whose gradient
  bool completes = false;                ///< accumulate: nothing is added to it afterwards
  const Node* layer = nullptr;           ///< round_bias: whose bias
  bool from_parameters = false;          ///< all inputs derive from parameters only
  std::vector<std::uint64_t> seen = {};  ///< then: versions of what it last ran on
  double seconds = 0;                    ///< of all runs but the first, if profiled
  std::int64_t runs = 0;
  std::vector<View> input_views = {}, output_views = {};
  std::vector<View> output_grad_views = {}, input_grad_views = {};
  float* workspace_data = nullptr;
  float* scratch_data = nullptr;
};

/// What is particular to one forward pass.
struct Pass {
  std::uint64_t step = 0, seed = 0;  ///< of the random generators
  const Observers* observers = nullptr;
};

/// Is told of each parameter whose gradient is complete; may be empty.
using GradientListener = std::function<void(Parameter& parameter)>;

/// A graph compiled for fixed input shapes and one mode: kernels, a forward and a backward list,
/// and where every buffer lies.
class Plan {
 public:
  Plan(const Graph& graph, std::span<const Shape> input_shapes, Mode mode,
       const ExecutorOptions& options, std::span<const std::string> watched);

  std::uint64_t graph_version() const { return graph_version_; }
  /// False if an op can be treated otherwise now: a quantizer of another bitwidth.
  bool is_current() const;
  std::int64_t arena_floats() const { return arena_floats_; }

  /// Makes every pointer valid for an arena at `base`.
  void bind(float* base);
  void forward(std::span<const Tensor> inputs, const Pass& pass);
  void backward(std::span<const Tensor> output_gradients, const GradientListener& on_gradient);
  std::vector<Tensor> outputs() const;
  /// Returns a copy of a kept value, or an undefined tensor if the plan does not keep it.
  Tensor value(std::string_view name) const;
  /// Returns a copy of the gradient of a watched value after backward, or an undefined tensor.
  Tensor gradient(std::string_view name) const;

  PlanStats stats() const;
  std::string to_string() const;
  std::vector<StepProfile> profile() const;
  std::string memory_report(std::size_t count) const;

 private:
  struct Compiled {
    FusedNode node;
    std::unique_ptr<Kernel> kernel;
    std::vector<int> sources;          ///< buffers of the inputs as they are produced
    std::vector<int> inputs, outputs;  ///< buffers as the kernel reads and writes them
    int workspace = -1;
    bool gives_codes = false, gives_real = true;  ///< KernelContext
    bool moves_codes = false;                     ///< a carrier of CodeFlow, on codes
    bool from_parameters = true;                  ///< all inputs derive from parameters only
    bool needs_gradient = false;                  ///< of any input
    std::unique_ptr<bool[]> wants;                ///< which inputs need one
    std::vector<Parameter*> parameters;           ///< per input, or nullptr
  };

  void infer_shapes(const Graph& graph);
  void build_forward(const Graph& graph, const ExecutorOptions& options,
                     std::span<const std::string> watched);
  struct Lowering;
  void add_sources(const Graph& graph, Lowering& lowering);
  enum class On { numbers, codes };
  void lower(FusedNode node, Lowering& lowering);
  void lower(FusedNode node, Lowering& lowering, On on);
  void compile(Compiled& compiled, const std::string& name, const Lowering& lowering);
  void add_outputs(Compiled& compiled, Lowering& lowering);
  void find_results(const Graph& graph, std::span<const std::string> watched);
  void build_backward(const Graph& graph, std::span<const std::string> watched);
  void add_backward_step(std::size_t index);
  void keep_as_codes();
  std::vector<int> needed(const Step& step) const;
  void find_lifetimes(MemoryPolicy policy);
  int new_buffer(std::string name, const Shape& shape, Format format);
  int scratch_buffer(const std::string& name, std::int64_t floats);
  int in_format(int buffer, Format format, std::vector<Step>& steps);
  int rounded_bias(const Node& layer, int bias);
  int joined_gradient(const Value* value, int buffer);
  void contribute(const Value* value, int gradient);
  View view(int buffer);
  std::string kernel_name(const Step& step) const;
  double bytes_of(const Step& step) const;
  void run(Step& step, const Pass& pass);
  void execute(Step& step, const Pass& pass);
  void refresh(const std::vector<int>& list, std::vector<View>& views);
  bool is_stale(Step& step, const Pass& pass);
  void constrain();
  Tensor copy_out(int index) const;

  Mode mode_;
  bool profiled_;
  std::uint64_t graph_version_;
  std::vector<Shape> input_shapes_;
  std::map<const Value*, Shape> shapes_;
  std::vector<Buffer> buffers_;
  std::vector<Compiled> compiled_;
  std::vector<Step> forward_, backward_;
  std::map<const Value*, int> buffer_of_;                   ///< as produced
  std::map<const Value*, int> codes_of_;                    ///< the same as codes
  std::map<std::pair<int, Format>, int> reordered_;         ///< copies in another format
  std::map<const Value*, std::vector<int>> contributions_;  ///< gradients, one per use
  std::vector<int> inputs_, outputs_, output_gradients_;
  std::vector<const Value*> output_values_;
  std::map<std::string, int, std::less<>> watched_, watched_gradients_;
  /// Parameters that have to be legal before anything reads them.
  struct Constrained {
    const Op* op;
    std::vector<Parameter*> parameters;  ///< per input of the node, or nullptr
    std::vector<std::uint64_t> seen;     ///< their versions when they were made legal
  };
  std::vector<Constrained> constrained_;
  /// What is_current() looks at, as it was.
  struct Treatment {
    const Op* op;
    bool fused, fits_byte;
  };
  std::vector<Treatment> treatments_;
  std::vector<std::uint64_t> versions_;  ///< as they are now, to be compared
  std::uint64_t derived_version_ = 0;
  std::int64_t arena_floats_ = 0, unplanned_floats_ = 0;
  float* base_ = nullptr;
};

/// Assigns offsets to arena buffers so that those alive at the same time never overlap; returns the
/// arena's size in floats.
std::int64_t plan_memory(std::vector<Buffer>& buffers);

}  // namespace rung
