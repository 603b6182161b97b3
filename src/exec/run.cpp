// Runs a plan: two loops over lists of steps.

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/check.h"
#include "exec/plan.h"
#include "kernels/relu.h"
#include "kernels/reorder.h"
#include "ops/linear/bias_scales.h"
#include "rung/ops/observers.h"

namespace rung {

namespace {

constexpr double kUnknownReach = std::numeric_limits<double>::infinity();

}  // namespace

View Plan::view(int index) {
  if (index < 0) return {};
  Buffer& buffer = buffers_[index];
  return {.data = nullptr,
          .shape = &buffer.shape,
          .format = buffer.format,
          .count = buffer.count,
          .version = 0,
          .codes = buffer.codes.get(),
          // A parameter changes without a step.
          .reach = buffer.storage == Storage::parameter ? nullptr : &buffer.reach};
}

void Plan::bind(float* base) {
  const auto pointer = [&](int index) -> float* {
    if (index < 0) return nullptr;
    Buffer& buffer = buffers_[index].alias >= 0 ? buffers_[buffers_[index].alias] : buffers_[index];
    switch (buffer.storage) {
      case Storage::arena:
        return base + buffer.offset;
      case Storage::kept:
        return buffer.kept.data().data();
      case Storage::parameter:
        return buffer.parameter->value_.data().data();
    }
    return nullptr;
  };
  const auto fill = [&](std::vector<View>& views, const std::vector<int>& list) {
    views.clear();
    for (const int index : list) {
      views.push_back(view(index));
      views.back().data = pointer(index);
    }
  };
  for (std::vector<Step>* list : {&forward_, &backward_})
    for (Step& step : *list) {
      fill(step.input_views, step.inputs);
      fill(step.output_views, step.outputs);
      fill(step.output_grad_views, step.output_grads);
      fill(step.input_grad_views, step.input_grads);
      step.workspace_data = pointer(step.workspace);
      step.scratch_data = pointer(step.scratch);
    }
  base_ = base;
}

bool Plan::is_current() const {
  return mode_ == Mode::eval || std::ranges::all_of(treatments_, [](const Treatment& t) {
           return t.op->can_be_fused() == t.fused && t.op->fits_byte() == t.fits_byte;
         });
}

// A parameter's tensor may have been replaced, and its version tells what is stale.
void Plan::refresh(const std::vector<int>& list, std::vector<View>& views) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Buffer& own = buffers_[list[i]];
    const Buffer& buffer = own.alias >= 0 ? buffers_[own.alias] : own;
    if (buffer.storage == Storage::parameter) {
      views[i].data = buffer.parameter->value_.data().data();
      views[i].version = buffer.parameter->version();
    } else if (buffer.storage == Storage::kept) {
      views[i].version = buffer.version;
    }
  }
}

namespace {

/// Hands on what is known of the inputs to what was made of them.
void keep_reach(const Step& step) {
  double largest = 0.0;
  for (const View& input : step.input_views)
    largest = std::max(largest, input.reach == nullptr ? kUnknownReach : *input.reach);
  for (const View& output : step.output_views)
    if (output.reach != nullptr) *output.reach = largest;
}

void forget_reach(const Step& step) {
  for (const View& output : step.output_views)
    if (output.reach != nullptr) *output.reach = kUnknownReach;
}

}  // namespace

void Plan::run(Step& step, const Pass& pass) {
  if (!profiled_) return execute(step, pass);
  const auto begin = std::chrono::steady_clock::now();
  execute(step, pass);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  // The first run also prepares things: it counts only while it is the only one.
  step.seconds = (step.runs > 1 ? step.seconds : 0.0) + took.count();
  ++step.runs;
}

// Tells whether anything changed that the step's result was made of, and remembers what is now.
bool Plan::is_stale(Step& step, const Pass& pass) {
  versions_.clear();
  for (const View& input : step.input_views) versions_.push_back(input.version);
  bool is_known = true;  // else it counts as changed, now and the next time
  if (step.node >= 0) {
    const Op& op = compiled_[step.node].node.node->op();
    const std::optional<std::uint64_t> state = op.state_version();
    is_known = state && (pass.observers == nullptr || !pass.observers->contains(op));
    versions_.push_back(state.value_or(0));
  }
  if (is_known && versions_ == step.seen) return false;
  step.seen = is_known ? versions_ : std::vector<std::uint64_t>();
  return true;
}

void Plan::execute(Step& step, const Pass& pass) {
  refresh(step.inputs, step.input_views);
  if (step.from_parameters) {
    if (!is_stale(step, pass)) return;
    for (const int output : step.outputs)
      if (output >= 0) buffers_[output].version = ++derived_version_;
  }
  switch (step.kind) {
    case StepKind::forward: {
      Compiled& compiled = compiled_[step.node];
      if (compiled.kernel->is_view()) return keep_reach(step);
      forget_reach(step);
      const Rng rng = Rng(pass.seed).split(pass.step).split(step.name);
      compiled.kernel->forward(Io(step.input_views, step.output_views, mode_, rng,
                                  step.workspace_data, step.scratch_data, compiled.parameters,
                                  pass.observers));
      if (compiled.kernel->keeps_reach) keep_reach(step);
      return;
    }
    case StepKind::backward:
      refresh(step.outputs, step.output_views);
      compiled_[step.node].kernel->backward(GradIo(step.input_views, step.output_views,
                                                   step.output_grad_views, step.input_grad_views,
                                                   step.workspace_data, step.scratch_data));
      return;
    case StepKind::reorder: {
      const View &from = step.input_views[0], &to = step.output_views[0];
      kernels::reorder(*from.shape, from.data, from.format, to.data, to.format);
      keep_reach(step);
      return;
    }
    case StepKind::sum: {
      const View& sum = step.output_views[0];
      kernels::add(step.input_views[0].data, step.input_views[1].data, sum.data, sum.count);
      for (std::size_t i = 2; i < step.input_views.size(); ++i)
        kernels::add(sum.data, step.input_views[i].data, sum.data, sum.count);
      return;
    }
    case StepKind::pack:
      compiled_[step.node].kernel->pack(step.input_views[0],
                                        reinterpret_cast<std::uint8_t*>(step.output_views[0].data));
      return;
    case StepKind::unpack:
      compiled_[step.node].kernel->unpack(
          reinterpret_cast<const std::uint8_t*>(step.input_views[0].data), step.output_views[0]);
      return;
    case StepKind::accumulate:
      step.target->add_grad(step.input_views[0].span());
      return;
    case StepKind::round_bias: {
      const View &bias = step.input_views[0], &to = step.output_views[0];
      std::vector<float> rounded(bias.span().begin(), bias.span().end());
      round_bias(*step.layer, rounded, pass.observers);
      if (std::ranges::equal(rounded, to.span())) return;
      std::ranges::copy(rounded, to.data);
      buffers_[step.outputs[0]].version = ++derived_version_;
      return;
    }
  }
}

namespace {

void copy(std::span<const float> from, float* to) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size_bytes());
}

}  // namespace

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

void Plan::forward(std::span<const Tensor> inputs, const Pass& pass) {
  constrain();
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    copy(inputs[i].data(), base_ + buffers_[inputs_[i]].offset);
    buffers_[inputs_[i]].reach = kUnknownReach;
  }
  for (Step& step : forward_) run(step, pass);
}

void Plan::backward(std::span<const Tensor> output_gradients, const GradientListener& on_gradient) {
  require(output_gradients.size() == output_gradients_.size(),
          "Executor::backward: the graph has {} outputs, got {} gradients",
          output_gradients_.size(), output_gradients.size());
  for (std::size_t i = 0; i < output_gradients_.size(); ++i) {
    const Buffer& buffer = buffers_[output_gradients_[i]];
    require(output_gradients[i].shape() == buffer.shape,
            "Executor::backward: the gradient of {} must be {}, got {}", output_values_[i]->name(),
            buffer.shape, output_gradients[i].shape());
  }
  for (std::size_t i = 0; i < output_gradients_.size(); ++i)
    copy(output_gradients[i].data(), base_ + buffers_[output_gradients_[i]].offset);
  for (Step& step : backward_) {
    run(step, {});
    if (step.completes && on_gradient) on_gradient(*step.target);
  }
}

Tensor Plan::copy_out(int index) const {
  const Buffer& own = buffers_[index];
  const Buffer& buffer = own.alias >= 0 ? buffers_[own.alias] : own;
  const float* data = buffer.storage == Storage::arena  ? base_ + buffer.offset
                      : buffer.storage == Storage::kept ? buffer.kept.data().data()
                                                        : buffer.parameter->value().data().data();
  return Tensor(own.shape, std::span(data, static_cast<std::size_t>(own.count)));
}

std::vector<Tensor> Plan::outputs() const {
  std::vector<Tensor> outputs;
  for (const int index : outputs_) outputs.push_back(copy_out(index));
  return outputs;
}

Tensor Plan::gradient(std::string_view name) const {
  const auto found = watched_gradients_.find(name);
  return found == watched_gradients_.end() ? Tensor() : copy_out(found->second);
}

Tensor Plan::value(std::string_view name) const {
  const auto found = watched_.find(name);
  return found == watched_.end() ? Tensor() : copy_out(found->second);
}

}  // namespace rung
