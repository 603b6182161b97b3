#include "rung/nn/optim.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/check.h"

namespace rung::nn {
namespace {

void check_lr(std::string_view kind, double lr) {
  require(std::isfinite(lr) && lr >= 0.0, "{}: lr must be finite and not negative, got {}", kind,
          lr);
}

// Looks names up once each, and finds out which nobody asked for.
template <typename T>
class Entries {
 public:
  Entries(std::string_view kind, const std::vector<std::pair<std::string, T>>& entries)
      : kind_(kind) {
    for (const auto& [name, value] : entries)
      require(entries_.emplace(name, &value).second, "{}: the state has '{}' twice", kind_, name);
  }
  const T* find(const std::string& name) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return nullptr;
    const T* value = found->second;
    entries_.erase(found);
    return value;
  }
  const T& get(const std::string& name) {
    const T* value = find(name);
    require(value != nullptr, "{}: the state has no '{}'; it belongs to another model or options",
            kind_, name);
    return *value;
  }
  void require_all_used() const {
    require(entries_.empty(), "{}: the state has '{}', which this optimizer does not know", kind_,
            entries_.empty() ? "" : entries_.begin()->first);
  }

 private:
  std::string_view kind_;
  std::map<std::string, const T*> entries_;
};

}  // namespace

Optimizer::Optimizer(std::string kind, std::vector<std::string> buffer_names)
    : kind_(std::move(kind)), buffer_names_(std::move(buffer_names)) {}

void Optimizer::add_group(const std::vector<Parameter*>& parameters, double lr) {
  check_lr(kind_, lr);
  std::set<const Parameter*> present;
  for (const Group& group : groups_)
    for (const Slot& slot : group.slots) present.insert(slot.parameter);
  Group group{lr, lr, {}};
  for (Parameter* parameter : parameters) {
    require(parameter != nullptr, "{}: parameter group {} has a null parameter", kind_,
            groups_.size());
    if (parameter->role() == Role::buffer) continue;
    require(present.insert(parameter).second, "{}: parameter {} is given twice", kind_,
            parameter->name());
    group.slots.push_back({parameter, {}, 0});
  }
  groups_.push_back(std::move(group));
}

void Optimizer::allocate_buffers(Slot& slot) const {
  slot.buffers.clear();
  for (std::size_t i = 0; i < buffer_names_.size(); ++i)
    slot.buffers.emplace_back(slot.parameter->shape());
}

void Optimizer::step() {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    for (Slot& slot : groups_[g].slots) {
      const Parameter& parameter = *slot.parameter;
      if (!parameter.requires_grad() || !parameter.has_grad()) continue;
      for (const Tensor& buffer : slot.buffers)
        require(buffer.shape() == parameter.shape(),
                "{}: {} is {} now, but was {} at the last step; make a new optimizer", kind_,
                parameter.name(), parameter.shape(), buffer.shape());
      ++slot.steps;
      update(g, slot);
    }
  }
}

void Optimizer::zero_grad() {
  for (Group& group : groups_)
    for (Slot& slot : group.slots) slot.parameter->zero_grad();
}

const Optimizer::Group& Optimizer::group(std::size_t index) const {
  require(index < groups_.size(), "{}: there is no parameter group {}, only {}", kind_, index,
          groups_.size());
  return groups_[index];
}

double Optimizer::lr(std::size_t index) const { return group(index).lr; }

double Optimizer::initial_lr(std::size_t index) const { return group(index).initial_lr; }

void Optimizer::set_lr(std::size_t index, double lr) {
  check_lr(kind_, lr);
  group(index);  // checks
  groups_[index].lr = lr;
}

OptimizerState Optimizer::state() const {
  OptimizerState state{kind_, {}, {}};
  std::set<std::string> names;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    state.scalars.emplace_back(fmt::format("group{}.lr", g), groups_[g].lr);
    state.scalars.emplace_back(fmt::format("group{}.initial_lr", g), groups_[g].initial_lr);
    for (const Slot& slot : groups_[g].slots) {
      const std::string& name = slot.parameter->name();
      require(names.insert(name).second, "{}: cannot save the state: two parameters are named {}",
              kind_, name);
      state.scalars.emplace_back(name + ".step", static_cast<double>(slot.steps));
      for (std::size_t i = 0; i < slot.buffers.size(); ++i)
        state.tensors.emplace_back(name + "." + buffer_names_[i], slot.buffers[i].clone());
    }
  }
  return state;
}

void Optimizer::load_state(const OptimizerState& state) {
  require(state.kind == kind_, "{}: the state is that of an optimizer '{}'", kind_, state.kind);
  Entries scalars(kind_, state.scalars);
  Entries tensors(kind_, state.tensors);
  std::vector<Group> loaded;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group group{scalars.get(fmt::format("group{}.lr", g)),
                scalars.get(fmt::format("group{}.initial_lr", g)),
                {}};
    check_lr(kind_, group.lr);
    check_lr(kind_, group.initial_lr);
    for (const Slot& old : groups_[g].slots) {
      const std::string& name = old.parameter->name();
      const double steps = scalars.get(name + ".step");
      require(steps >= 0.0 && steps <= 0x1p53 && steps == std::floor(steps),
              "{}: {}.step must be a count, got {}", kind_, name, steps);
      Slot slot{old.parameter, {}, static_cast<std::int64_t>(steps)};
      for (const std::string& buffer_name : buffer_names_) {
        const Tensor* buffer = tensors.find(name + "." + buffer_name);
        if (buffer == nullptr) continue;
        require(buffer->shape() == old.parameter->shape(), "{}: {}.{} must be {}, got {}", kind_,
                name, buffer_name, old.parameter->shape(), buffer->shape());
        slot.buffers.push_back(buffer->clone());
      }
      require(slot.buffers.empty() || slot.buffers.size() == buffer_names_.size(),
              "{}: the state has only {} of the {} tensors of {}", kind_, slot.buffers.size(),
              buffer_names_.size(), name);
      group.slots.push_back(std::move(slot));
    }
    loaded.push_back(std::move(group));
  }
  scalars.require_all_used();
  tensors.require_all_used();
  groups_ = std::move(loaded);
}

}  // namespace rung::nn
