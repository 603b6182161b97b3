#include "rung/exec/executor.h"

#include <algorithm>
#include <atomic>
#include <list>

#include "core/available_memory.h"
#include "core/check.h"
#include "core/team.h"
#include "exec/passes.h"
#include "exec/plan.h"

namespace rung {

struct Executor::Impl {
  static constexpr std::string_view kOwner = "Executor";

  // What a plan was compiled for. Work is cut, and primitives are made, for a number of threads.
  struct Key {
    std::uint64_t version;
    std::vector<Shape> shapes;
    Mode mode;
    int threads;
    bool observed;
    bool operator==(const Key&) const = default;
  };
  struct Entry {
    Key key;
    Plan plan;
  };
  static constexpr std::size_t kPlans = 8;
  // Bytes for oneDNN's code, what it packs and tensors that a pass returns. It does not check every
  // allocation, and may throw from inside a parallel region: short of memory it ends the process.
  static constexpr double kRoom = 32 << 20;

  Graph* graph;
  ExecutorOptions options;
  std::list<Entry> plans;  // most recently used first
  std::vector<std::string> watched;
  Observers* observers = nullptr;  // of a calibration under way
  Tensor arena;                    // of bytes
  Plan* last = nullptr;
  int last_threads = 0;
  GradientListener on_gradient;
  bool can_backward = false;
  bool has_gradients = false;  // of watched values: the last call was a backward
  std::uint64_t steps = 0;
  std::atomic<bool> running = false;

  /// Runs `work` unless another call is under way, from another thread or from inside an op.
  template <typename Work>
  void alone(std::string_view what, const Work& work) {
    require(!running.exchange(true),
            "Executor::{}: the executor is running already; it belongs to one thread: make an "
            "executor of its own for every other",
            what);
    struct Release {
      std::atomic<bool>& running;
      ~Release() { running = false; }
    } release{running};
    const std::uint64_t version = graph->version();
    work();
    require(graph->version() == version,
            "Executor::{}: the graph was edited while it ran; edit it between two calls", what);
  }

  /// Throws Error, naming the figures, unless there are as many bytes, and room beside them.
  static void check_memory(double wanted, double available, std::span<const Shape> shapes) {
    constexpr double kMiB = 1 << 20;
    require(wanted + kRoom <= available,
            "Executor: a plan for inputs {} needs {:.0f} MiB{}; "
            "{:.0f} MiB are available: use a smaller batch",
            fmt::join(shapes, ", "), (wanted + kRoom) / kMiB,
            wanted > 0 ? fmt::format(", {:.0f} of them for activations", wanted / kMiB)
                       : " beside activations",
            available / kMiB);
  }

  void forget_plans() {
    plans.clear();
    last = nullptr;
    can_backward = has_gradients = false;
  }

  std::byte* arena_bytes() { return reinterpret_cast<std::byte*>(arena.data().data()); }

  Plan& find(std::span<const Shape> shapes, Mode mode, const Team& team) {
    const bool observed = observers != nullptr && mode == Mode::train;
    const Key key{graph->version(), {shapes.begin(), shapes.end()}, mode, team.threads(), observed};
    const auto found = std::ranges::find(plans, key, &Entry::key);
    if (found != plans.end() && found->plan.is_current()) {
      plans.splice(plans.begin(), plans, found);
      return plans.front().plan;
    }
    // Plans of an older structure point at nodes that may be gone.
    std::erase_if(plans, [&](Entry& entry) {
      const bool stale = entry.key.version != graph->version() || !entry.plan.is_current();
      if (stale && last == &entry.plan) last = nullptr, can_backward = false;
      return stale;
    });
    check_memory(0, available_memory(), shapes);
    team.check();
    ExecutorOptions chosen = options;
    // What is observed is not quantized: there are no codes to keep for backward.
    if (observed) chosen.memory = MemoryPolicy::keep_all;
    Program program = compile({*graph, chosen, watched, {}}, shapes, mode);
    plans.push_front({key, Plan(*graph, std::move(program), chosen.profile)});
    if (plans.size() > kPlans) {
      if (last == &plans.back().plan) last = nullptr, can_backward = false;
      plans.pop_back();
    }
    Plan& plan = plans.front().plan;
    const std::int64_t floats = (plan.program().arena_bytes + 3) / bytes_of<float>(1);
    if (floats > arena.numel()) {
      const auto bytes = [](std::int64_t count) {
        return static_cast<double>(bytes_of<float>(count));
      };
      // What the present arena takes is given back first.
      check_memory(bytes(floats), available_memory() + bytes(arena.numel()), shapes);
      arena = Tensor();  // give the old one back first
      arena = Tensor(Shape{floats});
      for (Entry& entry : plans) entry.plan.bind(arena_bytes());
      can_backward = false;
    } else {
      plan.bind(arena_bytes());
    }
    return plan;
  }
};

Executor::Executor(Graph& graph, ExecutorOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->graph = &graph;
  impl_->options = options;
}

Executor::~Executor() = default;
Executor::Executor(Executor&&) noexcept = default;
Executor& Executor::operator=(Executor&&) noexcept = default;

std::vector<Tensor> Executor::forward(std::span<const Tensor> inputs, Mode mode) {
  require(!impl_->graph->outputs().empty(), "Executor: the graph has no outputs; call set_outputs");
  std::vector<Shape> shapes;
  for (const Tensor& input : inputs) {
    require(input.defined(), "Executor::forward: input {} is undefined", shapes.size());
    shapes.push_back(input.shape());
  }
  std::vector<Tensor> outputs;
  impl_->alone("forward", [&] {
    impl_->can_backward = impl_->has_gradients = false;
    const Team team;
    Plan& plan = impl_->find(shapes, mode, team);
    impl_->last = nullptr;
    plan.forward(
        inputs, {.step = impl_->steps, .seed = impl_->options.seed, .observers = impl_->observers});
    if (mode == Mode::train) ++impl_->steps;
    impl_->last = &plan;
    impl_->last_threads = team.threads();
    impl_->can_backward = mode == Mode::train;
    outputs = plan.outputs();
  });
  return outputs;
}

Tensor Executor::forward(const Tensor& input, Mode mode) {
  std::vector<Tensor> outputs = forward(std::span(&input, 1), mode);
  require(outputs.size() == 1,
          "Executor::forward: the graph has {} outputs; use the form that returns a vector",
          outputs.size());
  return std::move(outputs[0]);
}

void Executor::backward(std::span<const Tensor> output_gradients) {
  require(impl_->can_backward && impl_->last != nullptr,
          "Executor::backward: needs a forward in Mode::train just before it");
  require(impl_->last->graph_version() == impl_->graph->version(),
          "Executor::backward: the graph was edited since the forward; run forward again");
  const Team team(impl_->last_threads);
  require(team.threads() == impl_->last_threads,
          "Executor::backward: the forward before it ran with {} threads, here there {}: run both "
          "at the same place",
          impl_->last_threads,
          team.threads() == 1 ? std::string("is 1") : fmt::format("are {}", team.threads()));
  impl_->alone("backward", [&] {
    impl_->last->backward(output_gradients, impl_->on_gradient);
    impl_->can_backward = false;
    impl_->has_gradients = true;
  });
}

void Executor::backward(const Tensor& output_gradient) { backward(std::span(&output_gradient, 1)); }

void Executor::on_gradient(std::function<void(Parameter& parameter)> listener) {
  impl_->on_gradient = std::move(listener);
}

void Executor::watch(std::vector<std::string> names) {
  for (const std::string& name : names) impl_->graph->value(name);  // throws if there is none
  impl_->watched = std::move(names);
  impl_->forget_plans();
}

const std::vector<std::string>& Executor::watched() const { return impl_->watched; }

Tensor Executor::value(std::string_view name) const {
  require(impl_->last != nullptr, "Executor::value: run forward first");
  Tensor value = impl_->last->value(name);
  require(value.defined(), "Executor::value: {} is not watched; call watch() before forward", name);
  return value;
}

Tensor Executor::gradient(std::string_view name) const {
  if (Parameter* parameter = impl_->graph->value(name).parameter()) {
    require(parameter->has_grad(), "Executor::gradient: parameter {} has no gradient yet", name);
    return parameter->grad().clone();
  }
  require(impl_->last != nullptr && impl_->has_gradients, "Executor::gradient: run backward first");
  require(std::ranges::find(impl_->watched, name) != impl_->watched.end(),
          "Executor::gradient: {} is not watched; call watch() before forward", name);
  Tensor gradient = impl_->last->gradient(name);
  require(gradient.defined(), "Executor::gradient: no output of the graph depends on {}", name);
  return gradient;
}

Executor::Observing Executor::observe(Observers& observers) {
  return {impl_->observers, observers};
}

Observers* Executor::observers() const { return impl_->observers; }

Graph& Executor::graph() const { return *impl_->graph; }

const Plan& Executor::plan(std::span<const Shape> input_shapes, Mode mode) {
  return impl_->find(input_shapes, mode, Team());
}

const Plan& Executor::plan() const {
  require(impl_->last != nullptr, "Executor::plan: run forward first");
  return *impl_->last;
}

void Executor::set_seed(std::uint64_t seed) { impl_->options.seed = seed; }
void Executor::set_conv_algorithm(ConvAlgorithm algorithm, std::shared_ptr<ConvChoices> choices) {
  impl_->options.conv_algorithm = algorithm;
  impl_->options.conv_choices = std::move(choices);
  impl_->forget_plans();
}

std::uint64_t Executor::step_count() const { return impl_->steps; }
void Executor::set_step_count(std::uint64_t steps) { impl_->steps = steps; }

}  // namespace rung
