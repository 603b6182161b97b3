#include <algorithm>
#include <ostream>

#include "core/check.h"
#include "exec/passes.h"
#include "exec/plan.h"
#include "rung/core/text.h"

namespace rung {
namespace {

std::string_view name_of(Format format) {
  switch (format) {
    case Format::blocked8:
      return "8c";
    case Format::blocked16:
      return "16c";
    default:
      return "plain";
  }
}

std::int64_t reorders(const std::vector<Step>& steps) {
  return std::ranges::count(steps, StepKind::reorder, &Step::kind);
}

/// Says in what form a buffer's numbers lie, and where.
std::string describe(const Buffer& buffer) {
  std::string text = fmt::format("{} {}", buffer.shape, name_of(buffer.format));
  if (buffer.element != Element::f32) text += fmt::format(" {}", name_of(buffer.element));
  if (buffer.alias >= 0) return text + " (view)";
  if (buffer.storage != Storage::arena) return text + " (kept)";
  return text + fmt::format(" @{}K", buffer.offset / 1024);
}

/// What there is before there are steps.
std::string unplanned(const Program& program) {
  std::string text;
  if (program.groups.empty())
    for (const auto& [value, shape] : program.shapes)
      text += fmt::format("  {:<44} {}\n", printable(value->name()), shape);
  else if (program.tasks.empty())
    for (const Group& group : program.groups)
      text += fmt::format("  {}\n", printable(group.name()));
  for (const Task& task : program.tasks) {
    const char* numbers = task.moves_codes   ? "moves codes"
                          : task.takes_codes ? "takes codes"
                          : task.gives_codes ? task.gives_real ? "gives codes, too" : "gives codes"
                                             : "";
    text += fmt::format("  {:<70} {}\n", printable(task.name()), numbers);
  }
  return text;
}

}  // namespace

PlanStats stats(const Program& program) {
  return {.forward_steps = std::ssize(program.forward),
          .backward_steps = std::ssize(program.backward),
          .reorders = reorders(program.forward) + reorders(program.backward),
          .arena_bytes = program.arena_bytes,
          .unplanned_bytes = program.unplanned_bytes};
}

std::string kernel_name(const Program& program, const Step& step) {
  switch (step.kind) {
    case StepKind::forward:
      return program.nodes[step.node].kernel->name();
    case StepKind::backward:
      return program.nodes[step.node].kernel->name() + " backward";
    case StepKind::reorder:
      return "reorder";
    case StepKind::sum:
      return "sum";
    case StepKind::pack:
      return "to codes";
    case StepKind::unpack:
      return "from codes";
    case StepKind::accumulate:
      return "add to gradient";
    case StepKind::round_bias:
      return "round to int32";
  }
  return {};
}

std::string to_string(const Program& program) {
  if (program.forward.empty()) return unplanned(program);
  std::string text;
  const auto line = [&](const Step& step) {
    const std::vector<int>& writes =
        step.kind == StepKind::backward ? step.input_grads : step.outputs;
    std::string result;
    for (const int index : writes)
      if (index >= 0) result += (result.empty() ? "" : ", ") + describe(program.buffers[index]);
    text += fmt::format("  {:<44} {:<26} {}\n", printable(step.name), kernel_name(program, step),
                        result);
  };
  text += "forward\n";
  for (const Step& step : program.forward) line(step);
  if (!program.backward.empty()) text += "backward\n";
  for (const Step& step : program.backward) line(step);
  const PlanStats s = stats(program);
  return text + fmt::format(
                    "{} forward steps, {} backward steps, {} reorders, arena {:.1f} MiB "
                    "({:.1f} MiB without sharing)\n",
                    s.forward_steps, s.backward_steps, s.reorders,
                    static_cast<double>(s.arena_bytes) / (1 << 20),
                    static_cast<double>(s.unplanned_bytes) / (1 << 20));
}

std::vector<std::string> plan_passes() {
  std::vector<std::string> names;
  for (const Pass& pass : passes()) names.emplace_back(pass.name);
  return names;
}

std::string plan_after(std::string_view pass, const Graph& graph,
                       std::span<const Shape> input_shapes, Mode mode,
                       const ExecutorOptions& options) {
  return to_string(compile({graph, options, {}, {}}, input_shapes, mode, pass));
}

PlanStats stats(const Plan& plan) { return stats(plan.program()); }
std::string to_string(const Plan& plan) { return to_string(plan.program()); }
std::ostream& operator<<(std::ostream& out, const Plan& plan) { return out << to_string(plan); }

}  // namespace rung
