#include "run/class_scores.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

#include "rung/ops/quantize_dequantize.h"

namespace rung::cli {
namespace {

/// True for nodes behind which the numbers of an image still are its classes, in their order.
bool leaves_classes(const Node& node) {
  return node.op().traits().result == Result::input_in_order || node.type() == "Clip" ||
         node.as<QuantizeDequantize>() != nullptr;
}

/// Reads the attribute "axis" of an op.
class AxisOf final : public AttributeVisitor {
 public:
  explicit AxisOf(const Op& op) { op.clone()->visit(*this); }
  void operator()(std::string_view name, std::int64_t& value) override {
    if (name == "axis") axis = value;
  }
  void operator()(std::string_view, double&) override {}
  void operator()(std::string_view, float&) override {}
  void operator()(std::string_view, bool&) override {}
  void operator()(std::string_view, std::string&) override {}
  void operator()(std::string_view, std::vector<std::int64_t>&) override {}
  std::int64_t axis = -1;
};

/// True if a node normalizes over all classes of an image, and not over parts of them.
bool is_over_classes(const Node& node, std::int64_t classes) {
  const Shape& shape = node.output().shape();
  if (shape.rank() < 2 || shape.numel() != shape[0] * classes) return false;
  if (node.type() == "Sigmoid") return true;
  std::int64_t axis = AxisOf(node.op()).axis;
  if (axis < 0) axis += shape.rank();
  return axis > 0 && axis < shape.rank() && shape[axis] == classes;
}

std::vector<double> softmax(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  std::vector<double> probabilities;
  for (const float x : logits) probabilities.push_back(std::exp(x - largest));
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& p : probabilities) p /= sum;
  return probabilities;
}

/// Returns the slope of the activation at each logit, as far as it does not depend on the others:
/// the rest of Softmax's drops out, since the gradients of cross entropy sum to 0.
std::vector<double> slopes(std::string_view activation, std::span<const float> logits) {
  std::vector<double> slopes;
  if (activation == "Softmax") return softmax(logits);
  for (const float x : logits) {
    const double p = 1.0 / (1.0 + std::exp(-static_cast<double>(x)));
    slopes.push_back(p * (1.0 - p));
  }
  return slopes;
}

}  // namespace

ClassScores::ClassScores(const Graph& graph) {
  if (graph.outputs().size() != 1 || graph.outputs()[0]->shape().rank() != 2) return;
  const Value* value = graph.outputs()[0];
  const std::int64_t classes = value->shape()[1];
  bool quantized = false;
  for (const Node* node = value->producer(); node != nullptr; node = value->producer()) {
    if (node->type() == "Softmax" || node->type() == "Sigmoid") {
      if (!is_over_classes(*node, classes)) return;
      activation_ = node->type();
      logits_ = node->inputs()[0]->name();
      quantized_ = quantized;
      return;
    }
    if (!leaves_classes(*node)) return;
    quantized = quantized || node->as<QuantizeDequantize>() != nullptr;
    value = node->inputs()[0];
  }
}

void ClassScores::watch(Executor& executor) const {
  if (!activation_.empty()) executor.watch({logits_});
}

void ClassScores::unwatch(Executor& executor) const {
  if (!activation_.empty()) executor.watch({});
}

Tensor ClassScores::logits(const Executor& executor, const Tensor& output) const {
  if (activation_.empty()) return output;
  return Tensor(output.shape(), executor.value(logits_).data());
}

nn::LossFunction ClassScores::loss(const Executor& executor,
                                   const nn::CrossEntropyOptions& options) const {
  return [this, &executor, options](const Tensor& output, std::span<const std::int64_t> labels) {
    if (activation_.empty()) return nn::cross_entropy(output, labels, options);
    const Tensor numbers = logits(executor, output);
    nn::Loss loss = nn::cross_entropy(numbers, labels, options);
    // Backward multiplies by the slope of the activation again.
    const auto classes = static_cast<std::size_t>(output.shape()[1]);
    const std::span<float> gradient = loss.gradient.data();
    for (std::size_t row = 0; row < gradient.size(); row += classes) {
      const std::vector<double> slope =
          slopes(activation_, std::span<const float>(numbers.data()).subspan(row, classes));
      for (std::size_t i = 0; i < classes; ++i)
        gradient[row + i] = static_cast<float>(gradient[row + i] / std::max(slope[i], 1e-30));
    }
    return loss;
  };
}

std::vector<double> ClassScores::probabilities(std::span<const float> output) const {
  if (activation_.empty()) return softmax(output);
  return {output.begin(), output.end()};
}

}  // namespace rung::cli
