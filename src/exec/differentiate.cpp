#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "exec/passes.h"

namespace rung {
namespace {

class Differentiate {
 public:
  Differentiate(Program& program, const Source& source) : program_(program), source_(source) {}

  void run() {
    for (const Value* output : program_.output_values) {
      const int gradient =
          program_.new_buffer("d " + output->name(), program_.shapes.at(output), Format::plain);
      program_.output_gradients.push_back(gradient);
      contribute(output, gradient);
    }
    for (std::size_t index = program_.nodes.size(); index-- > 0;) {  // consumers before producers
      const Compiled& compiled = program_.nodes[index];
      for (std::size_t i = 0; i < compiled.task.group.outputs.size(); ++i)
        keep_gradient(compiled.task.group.outputs[i], compiled.outputs[i]);
      if (compiled.needs_gradient) add_step(index);
    }
    for (const Value* input : source_.graph.inputs())
      keep_gradient(input, program_.buffer_of.at(input));
    std::set<const Parameter*> seen;  // from the end
    for (std::size_t i = program_.backward.size(); i-- > 0;)
      if (Step& step = program_.backward[i]; step.kind == StepKind::accumulate)
        step.completes = seen.insert(step.target).second;
  }

 private:
  int in_format(int buffer, Format format) {
    return program_.in_format(buffer, format, program_.backward);
  }

  /// Records one gradient of a value; a parameter's is added to parameter.grad at once.
  void contribute(const Value* value, int gradient) {
    if (Parameter* parameter = value->parameter()) {
      const int plain = in_format(gradient, Format::plain);
      program_.backward.push_back({.kind = StepKind::accumulate,
                                   .name = parameter->name(),
                                   .inputs = {plain},
                                   .target = parameter});
      return;
    }
    contributions_[value].push_back(gradient);
  }

  /// Joins the gradients of all uses of a value, in the format it was produced in; -1 without any.
  int joined(const Value* value, int buffer) {
    const auto found = contributions_.find(value);
    if (found == contributions_.end()) return -1;
    const Format format = program_.buffers[buffer].format;
    std::vector<int> parts;
    for (const int part : found->second) parts.push_back(in_format(part, format));
    if (parts.size() == 1) return parts[0];
    const int sum =
        program_.new_buffer("d " + value->name(), program_.buffers[buffer].shape, format);
    program_.backward.push_back(
        {.kind = StepKind::sum, .name = value->name(), .inputs = parts, .outputs = {sum}});
    return sum;
  }

  /// Leaves the gradient of a watched value where somebody can read it.
  void keep_gradient(const Value* value, int buffer) {
    if (!source_.is_watched(*value)) return;
    const int gradient = joined(value, buffer);
    if (gradient < 0) return;
    contributions_[value] = {gradient};  // joined once, for the producer as well
    program_.watched_gradients[value->name()] = in_format(gradient, Format::plain);
  }

  void add_step(std::size_t index) {
    const Compiled& compiled = program_.nodes[index];
    const Kernel& kernel = *compiled.kernel;
    const Group& group = compiled.task.group;
    Step step{.kind = StepKind::backward, .name = group.name(), .node = static_cast<int>(index)};
    bool reached = false;
    for (std::size_t i = 0; i < compiled.outputs.size(); ++i) {
      step.output_grads.push_back(joined(group.outputs[i], compiled.outputs[i]));
      reached = reached || step.output_grads.back() >= 0;
    }
    if (!reached) return;  // nothing that the loss sees depends on it
    for (const int gradient : step.output_grads)
      require(gradient >= 0, "[{}] every output of a node must be used in training", step.name);
    std::vector<int> gradients;
    for (std::size_t i = 0; i < compiled.inputs.size(); ++i)
      gradients.push_back(gradient_of(compiled, i, step, gradients));
    step.workspace = compiled.workspace;
    step.scratch = program_.new_bytes(step.name + " scratch", kernel.scratch_backward);
    step.inputs = compiled.inputs;
    step.outputs = compiled.outputs;
    if (std::ranges::any_of(step.input_grads, [](int written) { return written >= 0; }))
      program_.backward.push_back(std::move(step));
    for (std::size_t i = 0; i < gradients.size(); ++i)
      if (gradients[i] >= 0) contribute(group.inputs[i], gradients[i]);
  }

  /// Returns the buffer of an input's gradient, or -1; notes it in the step if the kernel writes
  /// it.
  int gradient_of(const Compiled& compiled, std::size_t i, Step& step,
                  std::span<const int> earlier) {
    step.input_grads.push_back(-1);
    if (!compiled.wants[i]) return -1;
    const Buffer input = program_.buffers[compiled.inputs[i]];
    const int same_output = compiled.kernel->gradient_is_output(i);
    const int same_input = compiled.kernel->gradient_is_input(i);
    if (same_output < 0 && same_input >= 0) return earlier[static_cast<std::size_t>(same_input)];
    const int source =
        same_output < 0 ? -1 : step.output_grads[static_cast<std::size_t>(same_output)];
    if (source >= 0 && program_.buffers[source].shape == input.shape) return source;
    const int gradient = program_.new_buffer("d " + input.name, input.shape, input.format);
    if (source >= 0)  // the same numbers under another shape
      program_.buffers[gradient].alias = source;
    else
      step.input_grads.back() = gradient;
    return gradient;
  }

  Program& program_;
  const Source& source_;
  std::map<const Value*, std::vector<int>> contributions_;  // gradients, one per use
};

}  // namespace

void differentiate(Program& program, const Source& source) {
  if (program.mode == Mode::train) Differentiate(program, source).run();
}

}  // namespace rung
