#include "core/check.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"

namespace rung {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::weight:
      return "weight";
    case Role::bias:
      return "bias";
    case Role::norm:
      return "norm";
    case Role::encoding:
      return "encoding";
    case Role::buffer:
      return "buffer";
  }
  return "unknown";
}

Parameter::Parameter(std::string name, Tensor value, Role role)
    : name_(std::move(name)),
      value_(std::move(value)),
      role_(role),
      requires_grad_(role != Role::buffer && role != Role::encoding) {}

void Parameter::set_requires_grad(bool wanted) {
  require(!wanted || role_ != Role::buffer, "{} is a buffer: it has no gradient", name_);
  if (wanted == requires_grad_) return;
  requires_grad_ = wanted;
  for (const auto& each : structures_)
    if (const std::shared_ptr<std::uint64_t> version = each.lock()) ++*version;
}

Tensor& Parameter::grad() {
  if (!grad_.defined()) grad_ = Tensor(shape());
  if (!has_grad_) grad_.fill(0);
  return grad_;
}

void Parameter::add_grad(std::span<const float> contribution) {
  require(static_cast<std::int64_t>(contribution.size()) == shape().numel(),
          "{}: a gradient of {} values does not fit {}", name_, contribution.size(), shape());
  if (!grad_.defined()) grad_ = Tensor(shape());
  float* out = grad_.data().data();
  const float* in = contribution.data();
  const bool accumulate = has_grad_;
  parallel_for(shape().numel(), 1 << 15, [=](std::int64_t begin, std::int64_t end) {
    if (accumulate)
      for (std::int64_t i = begin; i < end; ++i) out[i] += in[i];
    else
      for (std::int64_t i = begin; i < end; ++i) out[i] = in[i];
  });
  has_grad_ = true;
}

}  // namespace rung
