#include <ostream>

#include "core/check.h"
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

}  // namespace

PlanStats Plan::stats() const {
  PlanStats stats;
  stats.forward_steps = static_cast<std::int64_t>(forward_.size());
  stats.backward_steps = static_cast<std::int64_t>(backward_.size());
  for (const std::vector<Step>* list : {&forward_, &backward_})
    for (const Step& step : *list) stats.reorders += step.kind == StepKind::reorder ? 1 : 0;
  stats.arena_bytes = arena_floats_ * static_cast<std::int64_t>(sizeof(float));
  stats.unplanned_bytes = unplanned_floats_ * static_cast<std::int64_t>(sizeof(float));
  return stats;
}

std::string Plan::kernel_name(const Step& step) const {
  switch (step.kind) {
    case StepKind::forward:
      return compiled_[step.node].kernel->name();
    case StepKind::backward:
      return compiled_[step.node].kernel->name() + " backward";
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

std::string Plan::to_string() const {
  std::string text;
  const auto line = [&](const Step& step) {
    const std::vector<int>& writes =
        step.kind == StepKind::backward ? step.input_grads : step.outputs;
    std::string result;
    for (const int index : writes) {
      if (index < 0) continue;
      const Buffer& buffer = buffers_[index];
      result +=
          fmt::format("{}{} {}", result.empty() ? "" : ", ", buffer.shape, name_of(buffer.format));
      if (buffer.alias >= 0)
        result += " (view)";
      else if (buffer.storage == Storage::arena)
        result += fmt::format(" @{}K", buffer.offset * 4 / 1024);
      else
        result += " (kept)";
    }
    text += fmt::format("  {:<44} {:<26} {}\n", printable(step.name), kernel_name(step), result);
  };
  text += "forward\n";
  for (const Step& step : forward_) line(step);
  if (!backward_.empty()) text += "backward\n";
  for (const Step& step : backward_) line(step);
  const PlanStats s = stats();
  return text + fmt::format(
                    "{} forward steps, {} backward steps, {} reorders, arena {:.1f} MiB "
                    "({:.1f} MiB without sharing)\n",
                    s.forward_steps, s.backward_steps, s.reorders,
                    static_cast<double>(s.arena_bytes) / (1 << 20),
                    static_cast<double>(s.unplanned_bytes) / (1 << 20));
}

PlanStats stats(const Plan& plan) { return plan.stats(); }
std::string to_string(const Plan& plan) { return plan.to_string(); }
std::ostream& operator<<(std::ostream& out, const Plan& plan) { return out << plan.to_string(); }

}  // namespace rung
