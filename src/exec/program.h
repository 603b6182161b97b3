#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rung/core/element.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
#include "rung/graph/kernel.h"

namespace rung {

/// Where a buffer's memory comes from.
enum class Storage {
  arena,      ///< planned, shared with buffers of other lifetimes
  parameter,  ///< the parameter's own tensor
  kept        ///< of this plan alone: derived from parameters, reused until they change
};

/// A tensor or working memory of a program.
struct Buffer {
  std::string name;
  Shape shape;
  Format format = Format::plain;
  Element element = Element::f32;
  std::int64_t count = 0;  ///< elements, padding included
  Storage storage = Storage::arena;
  Parameter* parameter = nullptr;
  int alias = -1;                         ///< the buffer whose memory this one is, or -1
  int first = -1;                         ///< position on the timeline where it is written
  int last = -1;                          ///< position where it is read last
  std::int64_t offset = 0;                ///< bytes into the arena
  std::shared_ptr<CodeScale> codes = {};  ///< set if it holds codes
  std::int64_t bytes() const { return count * size_of(element); }
};

enum class StepKind { forward, backward, reorder, sum, accumulate, pack, unpack, round_bias };

/// One entry of the forward or backward list.
struct Step {
  StepKind kind = StepKind::forward;
  std::string name;
  int node = -1;  ///< index into Program::nodes; not for reorder, sum and accumulate
  std::vector<int> inputs = {}, outputs = {};            ///< buffers
  std::vector<int> output_grads = {}, input_grads = {};  ///< backward; -1 = not wanted
  int workspace = -1, scratch = -1;
  Parameter* target = nullptr;   ///< accumulate: whose gradient
  bool completes = false;        ///< accumulate: nothing is added to it afterwards
  const Node* layer = nullptr;   ///< round_bias: whose bias
  bool from_parameters = false;  ///< all inputs derive from parameters only
};

/// One node of the graph, or a chain of them that one kernel computes.
struct Group {
  const Node* node = nullptr;            ///< the first of the chain: the one that is compiled
  std::vector<const Node*> joined = {};  ///< those behind it, in order
  std::vector<Tail> tails = {};          ///< what these are to the kernel
  std::vector<Value*> inputs, outputs;   ///< outputs are those of the last of the chain
  std::string name() const;
};

/// A group, and which numbers it computes with.
struct Task {
  Group group;
  bool takes_codes = false;  ///< inputs 0 and 1, see KernelContext
  bool gives_codes = false, gives_real = true;
  bool moves_codes = false;  ///< nothing but the codes of its input
  std::string name() const { return group.name() + (moves_codes ? " codes" : ""); }
};

/// A task with its kernel and the buffers that this reads and writes.
struct Compiled {
  Task task;
  std::unique_ptr<Kernel> kernel;
  std::vector<int> inputs, outputs;  ///< -1: an output that nobody wants
  int workspace = -1;
  bool needs_gradient = false;         ///< of any input
  std::unique_ptr<bool[]> wants;       ///< which inputs need one
  std::vector<Parameter*> parameters;  ///< per input, or nullptr
};

/// A graph compiled for fixed input shapes and one mode, as plain data. Passes make it (passes.h),
/// each adding to what those before it have found; a Plan runs it.
struct Program {
  Mode mode = Mode::eval;
  std::vector<Shape> input_shapes;

  std::map<const Value*, Shape> shapes;
  std::vector<Group> groups;
  std::vector<Task> tasks;
  std::vector<Buffer> buffers;
  std::vector<Compiled> nodes;
  std::vector<Step> forward, backward;

  std::map<const Value*, int> buffer_of;            ///< as produced
  std::map<const Value*, int> codes_of;             ///< the same as codes
  std::map<std::pair<int, Format>, int> reordered;  ///< copies in another format
  std::vector<int> inputs, outputs, output_gradients;
  std::vector<const Value*> output_values;
  std::map<std::string, int, std::less<>> watched, watched_gradients;
  std::int64_t arena_bytes = 0, unplanned_bytes = 0;

  int new_buffer(std::string name, const Shape& shape, Format format);
  /// Adds working memory without a shape; -1 if there are no bytes.
  int new_bytes(std::string name, std::int64_t bytes);
  /// Returns the buffer, or a copy of it in another format, adding the reorder to `steps` if it is
  /// the first.
  int in_format(int buffer, Format format, std::vector<Step>& steps);
  /// Returns the buffer whose memory this one is.
  int root(int buffer) const;
  /// Lists the forward buffers that a backward step reads.
  std::vector<int> needed(const Step& step) const;
};

/// Returns what a step runs, as the printed plan says it.
std::string kernel_name(const Program& program, const Step& step);
PlanStats stats(const Program& program);
/// Prints the steps, and the buffers that they write; before there are steps, groups or tasks.
std::string to_string(const Program& program);

}  // namespace rung
