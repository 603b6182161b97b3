// Compiles kernels, each in the format that it is fastest in, and makes the buffers between them.

#include <algorithm>

#include "backend/onednn.h"
#include "core/check.h"
#include "exec/passes.h"

namespace rung {
namespace {

// Codes are to be those of whole numbers, also where a quantizer is only behind a convolution.
Tuning tuning_of(const Source& source, Mode mode) {
  const bool quantized = std::ranges::any_of(
      source.graph.nodes(), [](const Node* node) { return node->type() == "QuantizeDequantize"; });
  Tuning tuning{.conv_algorithm = source.options.conv_algorithm,
                .conv_choices = source.options.conv_choices.get()};
  if (tuning.conv_algorithm == ConvAlgorithm::automatic && mode == Mode::eval && quantized)
    tuning.conv_algorithm = ConvAlgorithm::direct;
  return tuning;
}

class LayOut {
 public:
  LayOut(Program& program, const Source& source)
      : program_(program), source_(source), tuning_(tuning_of(source, program.mode)) {
    if (source.options.layout == LayoutPolicy::blocked) blocked_ = backend::blocked_format();
  }

  void run() {
    add_sources();
    for (const Task& task : program_.tasks) add(task);
    find_results();
  }

 private:
  bool trains() const { return program_.mode == Mode::train; }

  /// Makes the buffers of what the nodes start from: the graph's inputs and its parameters.
  void add_sources() {
    for (const Value* input : source_.graph.inputs()) {
      program_.inputs.push_back(
          program_.new_buffer(input->name(), program_.shapes.at(input), Format::plain));
      program_.buffer_of[input] = program_.inputs.back();
      differentiable_[input] = trains() && source_.is_watched(*input);
    }
    for (const Value* value : source_.graph.values()) {
      if (!value->parameter()) continue;
      const int buffer = program_.new_buffer(value->name(), value->shape(), Format::plain);
      program_.buffers[buffer].storage = Storage::parameter;
      program_.buffers[buffer].parameter = value->parameter();
      program_.buffer_of[value] = buffer;
      differentiable_[value] = trains() && value->parameter()->requires_grad();
    }
  }

  /// Adds one kernel: its step, the steps that its inputs need, and its outputs' buffers.
  void add(const Task& task) {
    Compiled compiled;
    compiled.task = task;
    const std::string name = task.name();
    const std::vector<int> produced = prepare(compiled, name);
    const Kernel& kernel = *compiled.kernel;
    for (std::size_t i = 0; i < produced.size(); ++i) {
      const Format format = kernel.input_formats.at(i);
      require(format == Format::plain || program_.buffers[produced[i]].shape.rank() >= 2,
              "[{}] wants a blocked vector", name);
      compiled.inputs.push_back(program_.in_format(produced[i], format, program_.forward));
    }
    add_outputs(compiled);
    compiled.workspace = program_.new_bytes(name + " workspace", kernel.workspace);
    Step step{
        .kind = StepKind::forward, .name = name, .node = static_cast<int>(program_.nodes.size())};
    step.inputs = compiled.inputs;
    step.outputs = compiled.outputs;
    step.workspace = compiled.workspace;
    step.scratch = program_.new_bytes(name + " scratch", kernel.scratch_forward);
    program_.forward.push_back(std::move(step));
    program_.nodes.push_back(std::move(compiled));
  }

  /// Makes the kernel, for the formats in which its inputs are produced; returns their buffers.
  std::vector<int> prepare(Compiled& compiled, const std::string& name) {
    const Task& task = compiled.task;
    const Group& group = task.group;
    std::vector<int> produced;
    std::vector<Shape> in, out;
    std::vector<Format> formats;
    compiled.wants = std::make_unique<bool[]>(group.inputs.size());
    for (std::size_t i = 0; i < group.inputs.size(); ++i) {
      const Value* value = group.inputs[i];
      const bool reads_codes = task.moves_codes || (task.takes_codes && i < 2);
      produced.push_back((reads_codes ? program_.codes_of : program_.buffer_of).at(value));
      in.push_back(program_.shapes.at(value));
      formats.push_back(program_.buffers[produced.back()].format);
      compiled.wants[i] = differentiable_.at(value);
      compiled.needs_gradient = compiled.needs_gradient || compiled.wants[i];
      compiled.parameters.push_back(value->parameter());
    }
    for (const Value* value : group.outputs) out.push_back(program_.shapes.at(value));
    compiled.kernel = group.node->op().compile({.name = name,
                                                .inputs = in,
                                                .outputs = out,
                                                .formats = formats,
                                                .blocked = blocked_,
                                                .mode = program_.mode,
                                                .tuning = &tuning_,
                                                .wants = {compiled.wants.get(), in.size()},
                                                .tails = group.tails,
                                                .takes_codes = task.takes_codes,
                                                .gives_codes = task.gives_codes,
                                                .gives_real = task.gives_real});
    return produced;
  }

  /// Makes the buffers that a kernel writes, or finds those of which its outputs are views.
  void add_outputs(Compiled& compiled) {
    const Kernel& kernel = *compiled.kernel;
    const Task& task = compiled.task;
    const std::vector<Value*>& values = task.group.outputs;
    for (std::size_t i = 0; i < values.size(); ++i) {
      differentiable_[values[i]] =
          compiled.needs_gradient || (trains() && source_.is_watched(*values[i]));
      if (!task.gives_real) {
        compiled.outputs.push_back(-1);
        continue;
      }
      const int buffer = add_output(compiled, i, task.moves_codes);
      if (kernel.is_view()) program_.buffers[buffer].alias = compiled.inputs[0];
      if (task.moves_codes)
        program_.buffers[buffer].codes = program_.buffers[compiled.inputs[0]].codes;
    }
    if (task.gives_codes)
      program_.buffers[add_output(compiled, 0, true)].codes = std::make_shared<CodeScale>();
  }

  int add_output(Compiled& compiled, std::size_t i, bool as_codes) {
    const Value* value = compiled.task.group.outputs[i];
    const int buffer =
        program_.new_buffer(value->name() + (as_codes ? " codes" : ""), program_.shapes.at(value),
                            compiled.kernel->output_formats.at(i));
    compiled.outputs.push_back(buffer);
    (as_codes ? program_.codes_of : program_.buffer_of)[value] = buffer;
    return buffer;
  }

  /// Finds where the outputs and the watched values lie, row-major.
  void find_results() {
    const auto plain = [&](const Value* value) {
      return program_.in_format(program_.buffer_of.at(value), Format::plain, program_.forward);
    };
    for (const Value* output : source_.graph.outputs()) {
      program_.output_values.push_back(output);
      program_.outputs.push_back(plain(output));
      program_.watched[output->name()] = program_.outputs.back();
    }
    for (const Value* input : source_.graph.inputs())
      program_.watched[input->name()] = program_.buffer_of.at(input);
    for (const std::string& name : source_.watched)
      program_.watched[name] = plain(&source_.graph.value(name));
  }

  Program& program_;
  const Source& source_;
  const Tuning tuning_;
  Format blocked_ = Format::plain;
  std::map<const Value*, bool> differentiable_;
};

}  // namespace

void lay_out(Program& program, const Source& source) { LayOut(program, source).run(); }

}  // namespace rung
