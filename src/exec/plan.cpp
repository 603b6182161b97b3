// Builds a plan: which kernels run in which order on which buffers. The forward list is the graph's
// order; backward.cpp writes the other one.

#include "exec/plan.h"

#include <algorithm>

#include "backend/onednn.h"
#include "core/check.h"
#include "exec/code_flow.h"
#include "graph/layer.h"
#include "kernels/reorder.h"
#include "ops/linear/bias_scales.h"

namespace rung {

Plan::Plan(const Graph& graph, std::span<const Shape> input_shapes, Mode mode,
           const ExecutorOptions& options, std::span<const std::string> watched)
    : mode_(mode),
      profiled_(options.profile),
      graph_version_(graph.version()),
      input_shapes_(input_shapes.begin(), input_shapes.end()) {
  infer_shapes(graph);
  build_forward(graph, options, watched);
  if (mode_ == Mode::train) {
    build_backward(graph, watched);
    if (options.memory == MemoryPolicy::arena) keep_as_codes();
  }
  find_lifetimes(options.memory);
  arena_floats_ = plan_memory(buffers_);
}

void Plan::infer_shapes(const Graph& graph) {
  require(input_shapes_.size() == graph.inputs().size(),
          "Executor: the graph has {} inputs, got {}", graph.inputs().size(), input_shapes_.size());
  for (std::size_t i = 0; i < input_shapes_.size(); ++i) {
    const Value& input = *graph.inputs()[i];
    require(input_shapes_[i].rank() == input.shape().rank(),
            "Executor: input {} must have rank {} like {}, got {}", input.name(),
            input.shape().rank(), input.shape(), input_shapes_[i]);
    shapes_[&input] = input_shapes_[i];
  }
  for (const Value* value : graph.values())
    if (value->parameter()) shapes_[value] = value->parameter()->shape();
  for (const Node* node : graph.nodes()) {
    std::vector<Shape> in;
    for (const Value* value : node->inputs()) in.push_back(shapes_.at(value));
    try {
      const std::vector<Shape> out = node->op().infer(in);
      for (std::size_t i = 0; i < out.size(); ++i) shapes_[node->outputs()[i]] = out[i];
    } catch (const Error& error) {
      fail("[{} {}] {}", node->type(), node->name(), error.what());
    }
    if (node->op().has_constraint()) {
      std::vector<Parameter*> parameters;
      for (const Value* value : node->inputs()) parameters.push_back(value->parameter());
      constrained_.push_back({&node->op(), std::move(parameters), {}});
    }
    treatments_.push_back({&node->op(), node->op().can_be_fused(), node->op().fits_byte()});
  }
}

// ---- buffers

int Plan::new_buffer(std::string name, const Shape& shape, Format format) {
  buffers_.push_back({.name = std::move(name),
                      .shape = shape,
                      .format = format,
                      .count = kernels::padded_count(shape, format)});
  return static_cast<int>(buffers_.size()) - 1;
}

int Plan::scratch_buffer(const std::string& name, std::int64_t floats) {
  return floats > 0 ? new_buffer(name, Shape{floats}, Format::plain) : -1;
}

// Returns the buffer, or a copy of it in another format, adding the reorder if it is the first.
int Plan::in_format(int buffer, Format format, std::vector<Step>& steps) {
  if (buffers_[buffer].format == format) return buffer;
  if (const auto found = reordered_.find({buffer, format}); found != reordered_.end())
    return found->second;
  const Buffer source = buffers_[buffer];
  const int copy = new_buffer(source.name, source.shape, format);
  buffers_[copy].storage = source.storage == Storage::arena ? Storage::arena : Storage::kept;
  buffers_[copy].codes = source.codes;
  Step step{.kind = StepKind::reorder, .name = source.name, .inputs = {buffer}, .outputs = {copy}};
  step.from_parameters = source.storage != Storage::arena;
  steps.push_back(std::move(step));
  reordered_[{buffer, format}] = copy;
  return copy;
}

// Returns the bias of a layer as its int32 codes will hold it, adding the step that rounds.
int Plan::rounded_bias(const Node& layer, int bias) {
  const int rounded = new_buffer(layer.name() + " int32 bias", buffers_[bias].shape, Format::plain);
  buffers_[rounded].storage = Storage::kept;
  Step step{.kind = StepKind::round_bias, .name = layer.name()};
  step.inputs = {bias};
  step.outputs = {rounded};
  step.layer = &layer;
  forward_.push_back(std::move(step));
  return rounded;
}

// ---- forward

/// What lowering the graph's nodes has to know besides the node.
struct Plan::Lowering {
  const ExecutorOptions& options;
  std::span<const std::string> watched;
  bool int32_biases = false;
  Format blocked = Format::plain;
  Tuning tuning = {};
  CodeFlow flow = {};
  std::map<const Value*, int> readers = {};
  std::map<const Value*, bool> differentiable = {};

  bool wants_gradient(const Value& value) const {
    return std::ranges::find(watched, value.name()) != watched.end();
  }
};

namespace {

// Codes are to be those of whole numbers, also where a quantizer is only behind a convolution.
Tuning tuning_of(const Graph& graph, const ExecutorOptions& options, Mode mode) {
  const bool quantized = std::ranges::any_of(
      graph.nodes(), [](const Node* node) { return node->type() == "QuantizeDequantize"; });
  Tuning tuning{.conv_algorithm = options.conv_algorithm,
                .conv_choices = options.conv_choices.get()};
  if (tuning.conv_algorithm == ConvAlgorithm::automatic && mode == Mode::eval && quantized)
    tuning.conv_algorithm = ConvAlgorithm::direct;
  return tuning;
}

}  // namespace

void Plan::build_forward(const Graph& graph, const ExecutorOptions& options,
                         std::span<const std::string> watched) {
  Lowering lowering{.options = options, .watched = watched};
  lowering.int32_biases = graph.int32_biases();
  if (options.layout == LayoutPolicy::blocked) lowering.blocked = backend::blocked_format();
  lowering.tuning = tuning_of(graph, options, mode_);
  add_sources(graph, lowering);
  std::vector<FusedNode> nodes = fuse(graph, shapes_, watched, mode_, options.fuse);
  if (mode_ == Mode::eval && options.exact) lowering.flow = find_code_flow(graph, nodes, watched);
  for (const FusedNode& node : nodes)
    for (const Value* value : node.inputs) ++lowering.readers[value];
  for (const Value* output : graph.outputs()) ++lowering.readers[output];
  for (const std::string& name : watched) ++lowering.readers[&graph.value(name)];
  for (FusedNode& node : nodes) lower(std::move(node), lowering);
  find_results(graph, watched);
}

// Makes the buffers of what the nodes start from: the graph's inputs and its parameters.
void Plan::add_sources(const Graph& graph, Lowering& lowering) {
  for (const Value* input : graph.inputs()) {
    inputs_.push_back(new_buffer(input->name(), shapes_.at(input), Format::plain));
    buffer_of_[input] = inputs_.back();
    lowering.differentiable[input] = mode_ == Mode::train && lowering.wants_gradient(*input);
  }
  for (const Value* value : graph.values()) {
    if (!value->parameter()) continue;
    const int buffer = new_buffer(value->name(), value->shape(), Format::plain);
    buffers_[buffer].storage = Storage::parameter;
    buffers_[buffer].parameter = value->parameter();
    buffer_of_[value] = buffer;
    lowering.differentiable[value] = mode_ == Mode::train && value->parameter()->requires_grad();
  }
}

// Adds the kernel of a node; of one that moves codes one for them, and one for real numbers only if
// somebody wants these.
void Plan::lower(FusedNode node, Lowering& lowering) {
  const bool carries = lowering.flow.carriers.contains(node.node);
  if (!carries || lowering.flow.real.contains(node.outputs[0])) lower(node, lowering, On::numbers);
  if (carries) lower(std::move(node), lowering, On::codes);
}

// Adds one kernel: its step, the steps that its inputs need, and its outputs' buffers.
void Plan::lower(FusedNode node, Lowering& lowering, On on) {
  Compiled compiled;
  compiled.node = std::move(node);
  compiled.moves_codes = on == On::codes;
  const std::string name = compiled.node.name() + (compiled.moves_codes ? " codes" : "");
  compile(compiled, name, lowering);
  const Kernel& kernel = *compiled.kernel;
  for (std::size_t i = 0; i < compiled.node.inputs.size(); ++i) {
    const int buffer = compiled.sources[i];
    const Format format = kernel.input_formats.at(i);
    require(format == Format::plain || buffers_[buffer].shape.rank() >= 2,
            "[{}] wants a blocked vector", name);
    compiled.inputs.push_back(in_format(buffer, format, forward_));
  }
  const Node& layer = *compiled.node.node;
  if (lowering.int32_biases && bias_value(layer) != nullptr) {
    int& bias = compiled.inputs[*layer.op().traits().weighted->bias];
    bias = rounded_bias(layer, bias);
  }
  add_outputs(compiled, lowering);
  compiled.workspace = scratch_buffer(name + " workspace", kernel.workspace);
  Step step{.kind = StepKind::forward, .name = name, .node = static_cast<int>(compiled_.size())};
  step.inputs = compiled.inputs;
  step.outputs = compiled.outputs;
  step.workspace = compiled.workspace;
  step.scratch = scratch_buffer(name + " scratch", kernel.scratch_forward);
  step.from_parameters = compiled.from_parameters && mode_ == Mode::eval;  // computed once
  forward_.push_back(std::move(step));
  compiled_.push_back(std::move(compiled));
}

// Prepares the kernel for the formats in which its inputs are produced.
void Plan::compile(Compiled& compiled, const std::string& name, const Lowering& lowering) {
  const FusedNode& node = compiled.node;
  const bool takes_codes = lowering.flow.takers.contains(node.node);
  compiled.gives_codes =
      lowering.flow.codes.contains(node.outputs[0]) && !lowering.flow.carriers.contains(node.node);
  compiled.gives_real = !compiled.gives_codes || lowering.flow.real.contains(node.outputs[0]);
  std::vector<Shape> in, out;
  std::vector<Format> formats;
  compiled.wants = std::make_unique<bool[]>(node.inputs.size());
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const Value* value = node.inputs[i];
    const bool reads_codes = compiled.moves_codes || (takes_codes && i < 2);
    compiled.sources.push_back((reads_codes ? codes_of_ : buffer_of_).at(value));
    const Buffer& buffer = buffers_[compiled.sources.back()];
    in.push_back(shapes_.at(value));
    formats.push_back(buffer.format);
    compiled.wants[i] = lowering.differentiable.at(value);
    compiled.needs_gradient = compiled.needs_gradient || compiled.wants[i];
    compiled.from_parameters = compiled.from_parameters && buffer.storage != Storage::arena;
    compiled.parameters.push_back(value->parameter());
  }
  for (const Value* value : node.outputs) out.push_back(shapes_.at(value));
  const auto op_of = [](const Node* each) { return each == nullptr ? nullptr : &each->op(); };
  compiled.kernel =
      node.node->op().compile({.name = name,
                               .inputs = in,
                               .outputs = out,
                               .formats = formats,
                               .blocked = lowering.blocked,
                               .mode = mode_,
                               .tuning = &lowering.tuning,
                               .wants = {compiled.wants.get(), in.size()},
                               .fused_relu = node.relu,
                               .fused_quantizer = op_of(node.quantizer),
                               .fused_add = node.add,
                               .quantizer_before_add = op_of(node.quantizer_before_add),
                               .takes_codes = takes_codes,
                               .gives_codes = compiled.gives_codes,
                               .gives_real = compiled.gives_real});
}

// Makes the buffers that a kernel writes, or finds those that it may write into.
void Plan::add_outputs(Compiled& compiled, Lowering& lowering) {
  const Kernel& kernel = *compiled.kernel;
  const std::vector<Value*>& values = compiled.node.outputs;
  const bool derived = compiled.from_parameters && mode_ == Mode::eval;  // computed once, then kept
  for (std::size_t i = 0; i < values.size(); ++i) {
    lowering.differentiable[values[i]] =
        compiled.needs_gradient || (mode_ == Mode::train && lowering.wants_gradient(*values[i]));
    if (!compiled.gives_real) {
      compiled.outputs.push_back(-1);
      continue;
    }
    const int buffer = new_buffer(values[i]->name() + (compiled.moves_codes ? " codes" : ""),
                                  shapes_.at(values[i]), kernel.output_formats.at(i));
    if (kernel.is_view())
      buffers_[buffer].alias = compiled.inputs[0];
    else if (derived)
      buffers_[buffer].storage = Storage::kept;
    compiled.outputs.push_back(buffer);
    if (compiled.moves_codes) buffers_[buffer].codes = buffers_[compiled.inputs[0]].codes;
    (compiled.moves_codes ? codes_of_ : buffer_of_)[values[i]] = buffer;
  }
  if (compiled.gives_codes) {
    const int codes = new_buffer(values[0]->name() + " codes", shapes_.at(values[0]),
                                 kernel.output_formats.at(0));
    buffers_[codes].codes = std::make_shared<CodeScale>();
    if (derived) buffers_[codes].storage = Storage::kept;
    compiled.outputs.push_back(codes);
    codes_of_[values[0]] = codes;
  }
  // In evaluation, where nothing is kept for backward, if nobody else reads the input.
  const Value& first = *compiled.node.inputs[0];
  const Buffer& input = buffers_[compiled.inputs[0]];
  const bool can_overwrite = mode_ == Mode::eval &&
                             lowering.options.memory == MemoryPolicy::arena &&
                             input.storage == Storage::arena && input.alias < 0 &&
                             first.producer() != nullptr && lowering.readers[&first] == 1;
  if (can_overwrite && kernel.in_place())
    buffers_[compiled.outputs.back()].alias = compiled.inputs[0];
  if (kernel.is_view() && compiled.from_parameters)
    for (const int buffer : compiled.outputs) buffers_[buffer].storage = Storage::kept;
}

// Finds where the outputs and the watched values lie, row-major.
void Plan::find_results(const Graph& graph, std::span<const std::string> watched) {
  for (const Value* output : graph.outputs()) {
    output_values_.push_back(output);
    outputs_.push_back(in_format(buffer_of_.at(output), Format::plain, forward_));
    watched_[output->name()] = outputs_.back();
  }
  for (const Value* input : graph.inputs()) watched_[input->name()] = buffer_of_.at(input);
  for (const std::string& name : watched)
    watched_[name] = in_format(buffer_of_.at(&graph.value(name)), Format::plain, forward_);
}

}  // namespace rung
