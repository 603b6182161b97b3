// What a plan costs: the time of its steps, and where its memory goes.

#include <algorithm>

#include "core/check.h"
#include "exec/plan.h"
#include "rung/core/text.h"

namespace rung {

namespace {

/// Returns the bytes that a step reads and writes.
double bytes_moved(const Program& program, const Step& step) {
  std::int64_t bytes = 0;
  const auto add = [&](const std::vector<int>& list, std::uint32_t bits) {
    for (std::size_t i = 0; i < list.size(); ++i)
      if (list[i] >= 0 && (i >= 32 || (bits >> i & 1) != 0))
        bytes += program.buffers[list[i]].bytes();
  };
  const bool backward = step.kind == StepKind::backward;
  const Needs needs = backward ? program.nodes[step.node].kernel->needs : Needs{~0u, ~0u};
  add(step.inputs, needs.input_bits);
  add(step.outputs, needs.output_bits);
  add(step.output_grads, ~0u);
  add(step.input_grads, ~0u);
  return static_cast<double>(bytes);
}

}  // namespace

std::vector<StepProfile> Plan::profile() const {
  std::vector<StepProfile> result;
  const auto add = [&](const std::vector<Step>& steps, const std::vector<StepState>& states) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::int64_t runs = states[i].runs;
      if (runs == 0) continue;
      const Step& step = steps[i];
      StepProfile one{step.name, kernel_name(program_, step),
                      states[i].seconds / static_cast<double>(std::max<std::int64_t>(1, runs - 1))};
      one.bytes = bytes_moved(program_, step);
      if (step.kind == StepKind::forward)
        one.flops = program_.nodes[step.node].kernel->flops_forward;
      if (step.kind == StepKind::backward)
        one.flops = program_.nodes[step.node].kernel->flops_backward;
      result.push_back(std::move(one));
    }
  };
  add(program_.forward, forward_);
  add(program_.backward, backward_);
  return result;
}

std::string memory_report(const Plan& plan, std::size_t count) {
  const Program& program = plan.program();
  const auto turn = static_cast<int>(program.forward.size());
  const auto steps = turn + static_cast<int>(program.backward.size());
  const auto name_of = [&](int position) {
    if (position >= steps) return std::string("the end");
    const Step& step =
        position < turn ? program.forward[position] : program.backward[position - turn];
    return fmt::format("{} ({})", printable(step.name), kernel_name(program, step));
  };
  std::vector<std::int64_t> live(static_cast<std::size_t>(steps) + 1, 0);
  std::vector<const Buffer*> largest;
  for (const Buffer& buffer : program.buffers) {
    if (buffer.alias >= 0 || buffer.storage != Storage::arena) continue;
    largest.push_back(&buffer);
    for (int i = buffer.first; i <= buffer.last; ++i)
      live[static_cast<std::size_t>(i)] += buffer.bytes();
  }
  std::ranges::stable_sort(largest, std::ranges::greater{}, &Buffer::bytes);
  largest.resize(std::min(largest.size(), count));

  const auto mib = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  const auto peak = std::ranges::max_element(live);
  std::string text =
      fmt::format("most memory in use: {:.1f} MiB of an arena of {:.1f}, at {}\n", mib(*peak),
                  mib(program.arena_bytes), name_of(static_cast<int>(peak - live.begin())));
  for (const Buffer* buffer : largest)
    text += fmt::format("  {:8.1f} MiB  {:<40} {} .. {}\n", mib(buffer->bytes()),
                        fmt::format("{} {}", printable(buffer->name), buffer->shape.to_string()),
                        name_of(buffer->first), name_of(buffer->last));
  return text;
}

std::vector<StepProfile> profile(const Plan& plan) { return plan.profile(); }

}  // namespace rung
