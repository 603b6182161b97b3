#include "exec/plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/check.h"
#include "kernels/relu.h"
#include "kernels/reorder.h"
#include "ops/linear/bias_scales.h"
#include "rung/ops/observers.h"

namespace rung {
namespace {

constexpr double kUnknownReach = std::numeric_limits<double>::infinity();

void copy(std::span<const float> from, void* to) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size_bytes());
}

/// Hands on what is known of the inputs to what was made of them.
void keep_reach(std::span<const View> inputs, std::span<const View> outputs) {
  double largest = 0.0;
  for (const View& input : inputs)
    largest = std::max(largest, input.reach == nullptr ? kUnknownReach : *input.reach);
  for (const View& output : outputs)
    if (output.reach != nullptr) *output.reach = largest;
}

void forget_reach(std::span<const View> outputs) {
  for (const View& output : outputs)
    if (output.reach != nullptr) *output.reach = kUnknownReach;
}

}  // namespace

Plan::Plan(const Graph& graph, Program program, bool profiled)
    : profiled_(profiled),
      graph_version_(graph.version()),
      program_(std::move(program)),
      forward_(program_.forward.size()),
      backward_(program_.backward.size()),
      buffers_(program_.buffers.size()) {
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    const Buffer& buffer = program_.buffers[i];
    if (buffer.storage != Storage::kept || buffer.alias >= 0) continue;
    buffers_[i].kept = Tensor(Shape{(buffer.bytes() + 3) / bytes_of<float>(1)});
    buffers_[i].kept_at = reinterpret_cast<std::byte*>(buffers_[i].kept.data().data());
  }
  for (const Node* node : graph.nodes()) {
    if (node->op().has_constraint()) {
      std::vector<Parameter*> parameters;
      for (const Value* value : node->inputs()) parameters.push_back(value->parameter());
      constrained_.push_back({&node->op(), std::move(parameters)});
    }
    treatments_.push_back({&node->op(), node->op().tail().has_value(), node->op().fits_byte()});
  }
}

bool Plan::is_current() const {
  return program_.mode == Mode::eval || std::ranges::all_of(treatments_, [](const Treatment& t) {
           return t.op->tail().has_value() == t.can_be_tail && t.op->fits_byte() == t.fits_byte;
         });
}

// ---- memory

void* Plan::memory(int buffer) const {
  if (buffer < 0) return nullptr;
  const int root = program_.root(buffer);
  const Buffer& owner = program_.buffers[root];
  switch (owner.storage) {
    case Storage::arena:
      return base_ + owner.offset;
    case Storage::kept:
      return buffers_[root].kept_at;
    case Storage::parameter:
      return owner.parameter->value_.data().data();
  }
  return nullptr;
}

std::vector<View> Plan::views(const std::vector<int>& buffers) {
  std::vector<View> views;
  for (const int index : buffers) {
    if (index < 0) {
      views.emplace_back();
      continue;
    }
    const Buffer& buffer = program_.buffers[index];
    void* const at = memory(index);
    views.push_back(
        {.data = buffer.element == Element::f32 ? static_cast<float*>(at) : nullptr,
         .shape = &buffer.shape,
         .format = buffer.format,
         .count = buffer.count,
         .codes = buffer.codes.get(),
         // A parameter changes without a step.
         .reach = buffer.storage == Storage::parameter ? nullptr : &buffers_[index].reach,
         .memory = at,
         .element = buffer.element});
  }
  return views;
}

void Plan::bind(std::byte* base) {
  base_ = base;
  const auto bind_all = [&](const std::vector<Step>& steps, std::vector<StepState>& states) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const Step& step = steps[i];
      StepState& state = states[i];
      state.inputs = views(step.inputs);
      state.outputs = views(step.outputs);
      state.output_grads = views(step.output_grads);
      state.input_grads = views(step.input_grads);
      state.workspace = memory(step.workspace);
      state.scratch = memory(step.scratch);
    }
  };
  bind_all(program_.forward, forward_);
  bind_all(program_.backward, backward_);
}

// A parameter's tensor may have been replaced, and its version tells what is stale.
void Plan::refresh(const std::vector<int>& list, std::vector<View>& views) const {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] < 0) continue;
    const int root = program_.root(list[i]);
    const Buffer& owner = program_.buffers[root];
    if (owner.storage == Storage::parameter) {
      views[i].data = owner.parameter->value_.data().data();
      views[i].memory = views[i].data;
      views[i].version = owner.parameter->version();
    } else if (owner.storage == Storage::kept) {
      views[i].version = buffers_[root].version;
    }
  }
}

Tensor Plan::copy_out(int index) const {
  const Buffer& buffer = program_.buffers[index];
  return Tensor(buffer.shape, std::span(static_cast<const float*>(memory(index)),
                                        static_cast<std::size_t>(buffer.count)));
}

// ---- steps

void Plan::run(const Step& step, StepState& state, const Run& run) {
  if (!profiled_) return execute(step, state, run);
  const auto begin = std::chrono::steady_clock::now();
  execute(step, state, run);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  // The first run also prepares things: it counts only while it is the only one.
  state.seconds = (state.runs > 1 ? state.seconds : 0.0) + took.count();
  ++state.runs;
}

// Tells whether anything changed that the step's result was made of, and remembers what is now.
bool Plan::is_stale(const Step& step, StepState& state, const Run& run) {
  versions_.clear();
  for (const View& input : state.inputs) versions_.push_back(input.version);
  bool is_known = true;  // else it counts as changed, now and the next time
  if (step.node >= 0) {
    const Op& op = program_.nodes[step.node].task.group.node->op();
    const std::optional<std::uint64_t> version = op.state_version();
    is_known = version && (run.observers == nullptr || !run.observers->contains(op));
    versions_.push_back(version.value_or(0));
  }
  if (is_known && versions_ == state.seen) return false;
  state.seen = is_known ? versions_ : std::vector<std::uint64_t>();
  return true;
}

void Plan::execute_forward(const Step& step, StepState& state, const Run& run) {
  const Compiled& compiled = program_.nodes[step.node];
  if (compiled.kernel->is_view()) return keep_reach(state.inputs, state.outputs);
  forget_reach(state.outputs);
  const Rng rng = Rng(run.seed).split(run.step).split(step.name);
  compiled.kernel->forward(Io(state.inputs, state.outputs, program_.mode, rng, state.workspace,
                              state.scratch, compiled.parameters, run.observers));
  if (compiled.kernel->keeps_reach) keep_reach(state.inputs, state.outputs);
}

void Plan::execute(const Step& step, StepState& state, const Run& run) {
  refresh(step.inputs, state.inputs);
  if (step.from_parameters) {
    if (!is_stale(step, state, run)) return;
    for (const int output : step.outputs)
      if (output >= 0) buffers_[output].version = ++derived_version_;
  }
  switch (step.kind) {
    case StepKind::forward:
      return execute_forward(step, state, run);
    case StepKind::backward:
      refresh(step.outputs, state.outputs);
      return program_.nodes[step.node].kernel->backward(
          GradIo(state.inputs, state.outputs, state.output_grads, state.input_grads,
                 state.workspace, state.scratch));
    case StepKind::reorder: {
      const View &from = state.inputs[0], &to = state.outputs[0];
      kernels::reorder(*from.shape, from.data, from.format, to.data, to.format);
      return keep_reach(state.inputs, state.outputs);
    }
    case StepKind::sum: {
      const View& sum = state.outputs[0];
      kernels::add(state.inputs[0].data, state.inputs[1].data, sum.data, sum.count);
      for (std::size_t i = 2; i < state.inputs.size(); ++i)
        kernels::add(sum.data, state.inputs[i].data, sum.data, sum.count);
      return;
    }
    case StepKind::pack:
      return program_.nodes[step.node].kernel->pack(state.inputs[0],
                                                    state.outputs[0].as<std::uint8_t>());
    case StepKind::unpack:
      return program_.nodes[step.node].kernel->unpack(state.inputs[0].as<std::uint8_t>(),
                                                      state.outputs[0]);
    case StepKind::accumulate:
      return step.target->add_grad(state.inputs[0].span());
    case StepKind::round_bias: {
      const View &bias = state.inputs[0], &to = state.outputs[0];
      std::vector<float> rounded(bias.span().begin(), bias.span().end());
      round_bias(*step.layer, rounded, run.observers);
      if (std::ranges::equal(rounded, to.span())) return;
      std::ranges::copy(rounded, to.data);
      buffers_[step.outputs[0]].version = ++derived_version_;
      return;
    }
  }
}

// Ranges and other constrained parameters become legal before anything reads them.
void Plan::constrain() {
  for (Constrained& each : constrained_) {
    const auto look = [&] {
      versions_.clear();
      for (const Parameter* parameter : each.parameters)
        if (parameter != nullptr) versions_.push_back(parameter->version());
    };
    look();
    if (versions_ == each.seen) continue;
    each.op->constrain(each.parameters);
    look();
    each.seen = versions_;
  }
}

void Plan::forward(std::span<const Tensor> inputs, const Run& run) {
  constrain();
  for (std::size_t i = 0; i < program_.inputs.size(); ++i) {
    copy(inputs[i].data(), memory(program_.inputs[i]));
    buffers_[program_.inputs[i]].reach = kUnknownReach;
  }
  for (std::size_t i = 0; i < forward_.size(); ++i)
    this->run(program_.forward[i], forward_[i], run);
}

void Plan::backward(std::span<const Tensor> output_gradients, const GradientListener& on_gradient) {
  const std::vector<int>& buffers = program_.output_gradients;
  require(output_gradients.size() == buffers.size(),
          "Executor::backward: the graph has {} outputs, got {} gradients", buffers.size(),
          output_gradients.size());
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const Buffer& buffer = program_.buffers[buffers[i]];
    require(output_gradients[i].shape() == buffer.shape,
            "Executor::backward: the gradient of {} must be {}, got {}",
            program_.output_values[i]->name(), buffer.shape, output_gradients[i].shape());
  }
  for (std::size_t i = 0; i < buffers.size(); ++i)
    copy(output_gradients[i].data(), memory(buffers[i]));
  for (std::size_t i = 0; i < backward_.size(); ++i) {
    const Step& step = program_.backward[i];
    run(step, backward_[i], {});
    if (step.completes && on_gradient) on_gradient(*step.target);
  }
}

// ---- results

std::vector<Tensor> Plan::outputs() const {
  std::vector<Tensor> outputs;
  for (const int index : program_.outputs) outputs.push_back(copy_out(index));
  return outputs;
}

Tensor Plan::gradient(std::string_view name) const {
  const auto found = program_.watched_gradients.find(name);
  return found == program_.watched_gradients.end() ? Tensor() : copy_out(found->second);
}

Tensor Plan::value(std::string_view name) const {
  const auto found = program_.watched.find(name);
  return found == program_.watched.end() ? Tensor() : copy_out(found->second);
}

}  // namespace rung
