#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/graph/graph.h"

namespace rung::nn {

/// Parameters that share options: an optimizer may have several groups.
template <typename Options>
struct ParameterGroup {
  std::vector<Parameter*> parameters;
  Options options;
};

/// What an optimizer remembers between steps, by name: enough to continue bit for bit.
struct OptimizerState {
  std::string kind;                                     ///< "sgd", "adam", "adamw", ...
  std::vector<std::pair<std::string, Tensor>> tensors;  ///< "conv1.weight.momentum_buffer"
  std::vector<std::pair<std::string, double>> scalars;  ///< "group0.lr", "conv1.weight.step"
};

/// Moves parameters along their gradients, which it reads and never changes. Parameters must
/// outlive it; buffers are left out. To write your own, derive and implement update().
class RUNG_API Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// Updates every parameter that requires a gradient and got one since zero_grad().
  virtual void step();
  /// Forgets the gradients of all its parameters.
  void zero_grad();

  std::size_t group_count() const { return groups_.size(); }
  /// Returns a group's learning rate; throws Error if there is no such group.
  double lr(std::size_t group = 0) const;
  /// Returns the learning rate a group was made with: what a schedule starts from.
  double initial_lr(std::size_t group = 0) const;
  /// Sets the learning rate of one group; throws Error unless it is finite and not negative.
  void set_lr(std::size_t group, double lr);

  /// Names what it remembers. Throws Error if two of its parameters have one name.
  OptimizerState state() const;
  /// Restores what state() returned, learning rates included; other options are the constructor's.
  /// Throws Error, and changes nothing, unless kind, names and shapes all fit.
  void load_state(const OptimizerState& state);

 protected:
  /// One parameter and the tensors that the optimizer keeps for it (plain row-major).
  struct Slot {
    Parameter* parameter = nullptr;
    std::vector<Tensor> buffers;  ///< empty, or one per buffer_names() of the parameter's shape
    std::int64_t steps = 0;       ///< updates so far, the present one included
  };

  /// `buffer_names` are PyTorch's names of what a slot's buffers hold.
  Optimizer(std::string kind, std::vector<std::string> buffer_names);
  /// Adds a group, without buffers; throws Error if a parameter is null or already present.
  void add_group(const std::vector<Parameter*>& parameters, double lr);
  /// Writes one parameter, once per step, from slot.parameter->grad().
  virtual void update(std::size_t group, Slot& slot) = 0;
  /// Makes a slot's buffers, filled with zeros.
  void allocate_buffers(Slot& slot) const;

 private:
  struct Group {
    double lr = 0.0, initial_lr = 0.0;
    std::vector<Slot> slots;
  };
  const Group& group(std::size_t index) const;

  std::string kind_;
  std::vector<std::string> buffer_names_;
  std::vector<Group> groups_;
};

struct SgdOptions {
  double lr = 1e-3;
  double momentum = 0.0;
  double weight_decay = 0.0;  ///< an L2 penalty: adds weight_decay * parameter to the gradient
  bool nesterov = false;      ///< needs a momentum
};

/// Stochastic gradient descent; torch.optim.SGD with dampening 0:
///   d = grad + weight_decay * p;  b = d the first time, else momentum * b + d
///   p -= lr * (nesterov ? d + momentum * b : momentum ? b : d)
class RUNG_API Sgd final : public Optimizer {
 public:
  using Group = ParameterGroup<SgdOptions>;
  explicit Sgd(const std::vector<Parameter*>& parameters, const SgdOptions& options = {});
  explicit Sgd(const std::vector<Group>& groups);

 private:
  void update(std::size_t group, Slot& slot) override;
  std::vector<SgdOptions> options_;  // their lr is only the initial one
};

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;         ///< decay of the mean of the gradients
  double beta2 = 0.999;       ///< decay of the mean of their squares
  double eps = 1e-8;          ///< added to the root of the latter
  double weight_decay = 0.0;  ///< an L2 penalty, as in Sgd; AdamW has another
};

/// Adam (Kingma and Ba 2015, algorithm 1) with bias correction; torch.optim.Adam without amsgrad.
class RUNG_API Adam final : public Optimizer {
 public:
  using Group = ParameterGroup<AdamOptions>;
  explicit Adam(const std::vector<Parameter*>& parameters, const AdamOptions& options = {});
  explicit Adam(const std::vector<Group>& groups);

 private:
  void update(std::size_t group, Slot& slot) override;
  std::vector<AdamOptions> options_;
};

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;  ///< shrinks parameters by lr * weight_decay per step
};

/// Adam whose weight decay does not go through the means of the gradients (Loshchilov and Hutter
/// 2019, algorithm 2); torch.optim.AdamW without amsgrad:
///   p -= lr * weight_decay * p;  then Adam's step, from the gradient alone
class RUNG_API AdamW final : public Optimizer {
 public:
  using Group = ParameterGroup<AdamWOptions>;
  explicit AdamW(const std::vector<Parameter*>& parameters, const AdamWOptions& options = {});
  explicit AdamW(const std::vector<Group>& groups);

 private:
  void update(std::size_t group, Slot& slot) override;
  std::vector<AdamWOptions> options_;
};

}  // namespace rung::nn
