// Builds the backward list of a plan: reverse-mode differentiation of its forward list.

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "exec/plan.h"

namespace rung {

// Records one gradient of a value; a parameter's is added to parameter.grad at once.
void Plan::contribute(const Value* value, int gradient) {
  if (Parameter* parameter = value->parameter()) {
    const int plain = in_format(gradient, Format::plain, backward_);
    backward_.push_back({.kind = StepKind::accumulate,
                         .name = parameter->name(),
                         .inputs = {plain},
                         .target = parameter});
    return;
  }
  contributions_[value].push_back(gradient);
}

// Joins the gradients of all uses of a value, in the format it was produced in; -1 without any.
int Plan::joined_gradient(const Value* value, int buffer) {
  const auto found = contributions_.find(value);
  if (found == contributions_.end()) return -1;
  std::vector<int> parts;
  for (const int part : found->second)
    parts.push_back(in_format(part, buffers_[buffer].format, backward_));
  if (parts.size() == 1) return parts[0];
  const int sum = new_buffer("d " + value->name(), buffers_[buffer].shape, buffers_[buffer].format);
  backward_.push_back(
      {.kind = StepKind::sum, .name = value->name(), .inputs = parts, .outputs = {sum}});
  return sum;
}

void Plan::build_backward(const Graph& graph, std::span<const std::string> watched) {
  for (const Value* output : output_values_) {
    const int gradient = new_buffer("d " + output->name(), shapes_.at(output), Format::plain);
    output_gradients_.push_back(gradient);
    contribute(output, gradient);
  }
  const auto keep_gradient = [&](const Value* value, int buffer) {
    if (std::ranges::find(watched, value->name()) == watched.end()) return;
    const int gradient = joined_gradient(value, buffer);
    if (gradient < 0) return;
    contributions_[value] = {gradient};  // joined once, for the producer as well
    watched_gradients_[value->name()] = in_format(gradient, Format::plain, backward_);
  };
  for (std::size_t index = compiled_.size(); index-- > 0;) {  // consumers before producers
    const Compiled& compiled = compiled_[index];
    for (std::size_t i = 0; i < compiled.node.outputs.size(); ++i)
      keep_gradient(compiled.node.outputs[i], compiled.outputs[i]);
    if (compiled.needs_gradient) add_backward_step(index);
  }
  for (const Value* input : graph.inputs()) keep_gradient(input, buffer_of_.at(input));
  std::set<const Parameter*> seen;  // from the end
  for (std::size_t i = backward_.size(); i-- > 0;)
    if (backward_[i].kind == StepKind::accumulate)
      backward_[i].completes = seen.insert(backward_[i].target).second;
}

void Plan::add_backward_step(std::size_t index) {
  Compiled& compiled = compiled_[index];
  const Kernel& kernel = *compiled.kernel;
  Step step{
      .kind = StepKind::backward, .name = compiled.node.name(), .node = static_cast<int>(index)};
  bool reached = false;
  for (std::size_t i = 0; i < compiled.outputs.size(); ++i) {
    step.output_grads.push_back(joined_gradient(compiled.node.outputs[i], compiled.outputs[i]));
    reached = reached || step.output_grads.back() >= 0;
  }
  if (!reached) return;  // nothing that the loss sees depends on it
  for (const int gradient : step.output_grads)
    require(gradient >= 0, "[{}] every output of a node must be used in training", step.name);
  bool runs = false;
  std::vector<int> gradients(compiled.inputs.size(), -1);
  for (std::size_t i = 0; i < compiled.inputs.size(); ++i) {
    const Buffer input = buffers_[compiled.inputs[i]];
    int written = -1;
    if (compiled.wants[i]) {
      const int same_output = kernel.gradient_is_output(i),
                same_input = kernel.gradient_is_input(i);
      if (same_output >= 0) {
        const int source = step.output_grads[static_cast<std::size_t>(same_output)];
        gradients[i] = source;
        if (buffers_[source].shape != input.shape) {  // the same numbers under another shape
          gradients[i] = new_buffer("d " + input.name, input.shape, input.format);
          buffers_[gradients[i]].alias = source;
        }
      } else if (same_input >= 0) {
        gradients[i] = gradients[static_cast<std::size_t>(same_input)];
      } else {
        gradients[i] = written = new_buffer("d " + input.name, input.shape, input.format);
        runs = true;
      }
    }
    step.input_grads.push_back(written);
  }
  step.workspace = compiled.workspace;
  step.scratch = scratch_buffer(step.name + " scratch", kernel.scratch_backward);
  step.inputs = compiled.inputs;
  step.outputs = compiled.outputs;
  if (runs) backward_.push_back(std::move(step));
  for (std::size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i] >= 0) contribute(compiled.node.inputs[i], gradients[i]);
}

}  // namespace rung
