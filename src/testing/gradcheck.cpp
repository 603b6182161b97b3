#include "rung/testing/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "rung/core/rng.h"

namespace rung::testing {
namespace {

/// Compares sampled elements of one gradient: loss_at(i, value) gives the loss with element i of a
/// tensor set to a value, `values` are what the tensor holds.
void compare(const std::string& name, std::span<const float> values, const Tensor& gradient,
             const Rng& rng, const GradcheckOptions& options,
             const std::function<double(std::size_t, float)>& loss_at, GradcheckResult& result) {
  double scale = 1.0;
  for (const float value : gradient.data()) scale = std::max(scale, std::abs(double{value}));
  Rng pick = rng;
  const std::int64_t count = gradient.numel();
  for (std::int64_t sample = 0; sample < std::min(count, options.samples); ++sample) {
    const auto i = static_cast<std::size_t>(count <= options.samples
                                                ? static_cast<std::uint64_t>(sample)
                                                : pick.below(static_cast<std::uint64_t>(count)));
    const float above = values[i] + static_cast<float>(options.step);
    const float below = values[i] - static_cast<float>(options.step);
    const double expected =
        (loss_at(i, above) - loss_at(i, below)) / (double{above} - double{below});
    const double computed = gradient.data()[i];
    ++result.compared;
    if (!(std::abs(computed - expected) <= options.tolerance * scale))  // NaN is a mismatch
      result.mismatches.push_back({name, static_cast<std::int64_t>(i), computed, expected});
  }
}

}  // namespace

std::string GradcheckResult::to_string() const {
  std::string text = fmt::format("{} of {} gradients are wrong", mismatches.size(), compared);
  for (std::size_t i = 0; i < std::min<std::size_t>(mismatches.size(), 10); ++i) {
    const GradcheckMismatch& each = mismatches[i];
    text += fmt::format("\n{}[{}]: {:.6g}, the difference says {:.6g}", each.tensor, each.index,
                        each.computed, each.expected);
  }
  return text;
}

GradcheckResult gradcheck(Graph& graph, std::span<const Tensor> inputs,
                          const GradcheckOptions& options) {
  Executor executor(graph, options.executor);
  std::vector<std::string> names;
  for (const Value* input : graph.inputs()) names.push_back(input->name());
  executor.watch(names);
  const std::uint64_t step_count = executor.step_count();
  std::vector<Tensor> weights;  // of the outputs' elements
  for (const Tensor& output : executor.forward(inputs, Mode::train)) {
    Rng rng = Rng(7).split(weights.size());
    weights.emplace_back(output.shape());
    for (float& weight : weights.back().data()) weight = static_cast<float>(rng.uniform(-1, 1));
  }
  for (Parameter* parameter : graph.parameters()) parameter->zero_grad();
  executor.backward(weights);
  std::vector<Tensor> points;  // copies of the inputs, to be moved
  std::vector<Tensor> input_gradients;
  for (const Tensor& input : inputs) {
    input_gradients.push_back(executor.gradient(names[points.size()]));
    points.push_back(input.clone());
  }
  const auto loss = [&] {
    executor.set_step_count(step_count);  // the same dropout mask every time
    const std::vector<Tensor> outputs = executor.forward(points, Mode::train);
    double sum = 0.0;
    for (std::size_t k = 0; k < outputs.size(); ++k)
      for (std::size_t i = 0; i < outputs[k].data().size(); ++i)
        sum += double{weights[k].data()[i]} * outputs[k].data()[i];
    return sum;
  };
  GradcheckResult result;
  const Rng pick(11);
  for (std::size_t k = 0; k < points.size(); ++k)
    compare(
        names[k], inputs[k].data(), input_gradients[k], pick.split(names[k]), options,
        [&](std::size_t i, float value) {
          points[k].data()[i] = value;
          const double sum = loss();
          points[k].data()[i] = inputs[k].data()[i];
          return sum;
        },
        result);
  for (Parameter* parameter : graph.parameters()) {
    if (!parameter->requires_grad() || !parameter->has_grad()) continue;
    const Tensor value = parameter->value().clone();
    compare(
        parameter->name(), value.data(), parameter->grad().clone(), pick.split(parameter->name()),
        options,
        [&](std::size_t i, float moved) {
          parameter->edit().data()[i] = moved;
          const double sum = loss();
          parameter->edit().data()[i] = value.data()[i];
          return sum;
        },
        result);
  }
  return result;
}

GradcheckResult gradcheck(const std::function<nn::Loss(const Tensor&)>& loss,
                          const Tensor& prediction, const GradcheckOptions& options) {
  GradcheckResult result;
  const Tensor point = prediction.clone();
  compare(
      "prediction", prediction.data(), loss(prediction).gradient, Rng(11), options,
      [&](std::size_t i, float value) {
        Tensor moved = point.clone();
        moved.data()[i] = value;
        return loss(moved).value;
      },
      result);
  return result;
}

}  // namespace rung::testing
