// What a plan costs: the time of its steps, and where its memory goes.

#include <algorithm>

#include "core/check.h"
#include "exec/plan.h"
#include "rung/core/text.h"

namespace rung {

double Plan::bytes_of(const Step& step) const {
  double floats = 0;
  const auto add = [&](const std::vector<int>& list, std::uint32_t bits) {
    for (std::size_t i = 0; i < list.size(); ++i)
      if (list[i] >= 0 && (i >= 32 || (bits >> i & 1) != 0))
        floats += static_cast<double>(buffers_[list[i]].count);
  };
  const bool backward = step.kind == StepKind::backward;
  const Needs needs = backward ? compiled_[step.node].kernel->needs : Needs{~0u, ~0u};
  add(step.inputs, needs.input_bits);
  add(step.outputs, needs.output_bits);
  add(step.output_grads, ~0u);
  add(step.input_grads, ~0u);
  return floats * sizeof(float);
}

std::vector<StepProfile> Plan::profile() const {
  std::vector<StepProfile> result;
  for (const std::vector<Step>* list : {&forward_, &backward_})
    for (const Step& step : *list) {
      if (step.runs == 0) continue;
      StepProfile one{step.name, kernel_name(step),
                      step.seconds / static_cast<double>(std::max<std::int64_t>(1, step.runs - 1))};
      one.bytes = bytes_of(step);
      if (step.kind == StepKind::forward) one.flops = compiled_[step.node].kernel->flops_forward;
      if (step.kind == StepKind::backward) one.flops = compiled_[step.node].kernel->flops_backward;
      result.push_back(std::move(one));
    }
  return result;
}

std::string Plan::memory_report(std::size_t count) const {
  const auto steps = static_cast<int>(forward_.size() + backward_.size());
  const auto name_of = [&](int position) {
    const int turn = static_cast<int>(forward_.size());
    if (position >= steps) return std::string("the end");
    const Step& step = position < turn ? forward_[position] : backward_[position - turn];
    return fmt::format("{} ({})", printable(step.name), kernel_name(step));
  };
  std::vector<std::int64_t> live(static_cast<std::size_t>(steps) + 1, 0);
  std::vector<const Buffer*> largest;
  for (const Buffer& buffer : buffers_) {
    if (buffer.alias >= 0 || buffer.storage != Storage::arena) continue;
    largest.push_back(&buffer);
    for (int i = buffer.first; i <= buffer.last; ++i)
      live[static_cast<std::size_t>(i)] += buffer.count;
  }
  std::ranges::stable_sort(largest, std::ranges::greater{}, &Buffer::count);
  largest.resize(std::min(largest.size(), count));

  const auto mib = [](std::int64_t floats) {
    return static_cast<double>(floats) * sizeof(float) / (1 << 20);
  };
  const auto peak = std::ranges::max_element(live);
  std::string text =
      fmt::format("most memory in use: {:.1f} MiB of an arena of {:.1f}, at {}\n", mib(*peak),
                  mib(arena_floats_), name_of(static_cast<int>(peak - live.begin())));
  for (const Buffer* buffer : largest)
    text += fmt::format("  {:8.1f} MiB  {:<40} {} .. {}\n", mib(buffer->count),
                        fmt::format("{} {}", printable(buffer->name), buffer->shape.to_string()),
                        name_of(buffer->first), name_of(buffer->last));
  return text;
}

std::vector<StepProfile> profile(const Plan& plan) { return plan.profile(); }
std::string memory_report(const Plan& plan, std::size_t count) { return plan.memory_report(count); }

}  // namespace rung
