#include "run/class_scores.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <string_view>

#include "rung/ops/shape_ops.h"

namespace rung::cli {
namespace {

constexpr std::string_view kQuantizer = "QuantizeDequantize";
constexpr std::array<std::string_view, 5> kLeaveClasses = {"Identity", "Dropout", "Cast", "Clip",
                                                           kQuantizer};
constexpr std::array<std::string_view, 4> kReshape = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"};

bool is_one_of(std::span<const std::string_view> types, std::string_view type) {
  return std::ranges::find(types, type) != types.end();
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

/// Which axes of a value count images and classes; all others have the extent 1.
struct Layout {
  std::int64_t images = 0, classes = 1;
};

/// Returns the layout of what a Transpose reads.
Layout in_front_of(const Transpose& op, const Layout& behind, std::int64_t rank) {
  const auto axis = [&](std::int64_t i) {
    if (op.perm.empty()) return rank - 1 - i;
    const std::int64_t from = op.perm[static_cast<std::size_t>(i)];
    return from < 0 ? from + rank : from;
  };
  return {axis(behind.images), axis(behind.classes)};
}

/// Returns the layout of what is read with another shape: images and classes keep their order.
std::optional<Layout> in_front_of_reshape(const Shape& from, const Shape& to,
                                          const Layout& behind) {
  const std::int64_t images = to[behind.images], classes = to[behind.classes];
  const bool images_first = behind.images < behind.classes;
  if (from.numel() != images * classes) return {};
  // Where the graph has one image, any axis could be its: the outermost is.
  for (std::int64_t last = from.rank() - 1; last > 0; --last)
    for (std::int64_t first = 0; first < last; ++first) {
      if (images_first && from[first] == images && from[last] == classes)
        return Layout{.images = first, .classes = last};
      if (!images_first && from[first] == classes && from[last] == images)
        return Layout{.images = last, .classes = first};
    }
  return {};
}

bool multiplies_by_one(const Node& node) {
  if (node.type() != "Mul" || node.inputs().size() != 2) return false;
  const Parameter* factor = node.inputs()[1]->parameter();
  return factor != nullptr && factor->value().numel() == 1 && factor->value().data()[0] == 1.0f;
}

/// Returns the layout of a node's input; nothing if it is more than moved, named, clipped or
/// quantized.
std::optional<Layout> in_front_of(const Node& node, const Layout& behind) {
  const Shape& from = node.inputs()[0]->shape();
  if (const auto* transpose = node.as<Transpose>())
    return in_front_of(*transpose, behind, from.rank());
  if (is_one_of(kReshape, node.type()))
    return in_front_of_reshape(from, node.output().shape(), behind);
  if (is_one_of(kLeaveClasses, node.type()) || multiplies_by_one(node)) return behind;
  return {};
}

/// True if a node normalizes over all classes of an image, and not over parts of them.
bool is_over_classes(const Node& node, const Layout& layout) {
  const Shape& shape = node.output().shape();
  if (shape.numel() != shape[layout.images] * shape[layout.classes]) return false;
  if (node.type() == "Sigmoid") return true;
  const std::int64_t axis = AxisOf(node.op()).axis;
  return (axis < 0 ? axis + shape.rank() : axis) == layout.classes;
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

/// Returns numbers of one image behind those of the other, [N, C], that stand class by class.
Tensor by_images(const Tensor& numbers, const Shape& shape) {
  const std::int64_t images = shape[0], classes = shape[1];
  Tensor result(shape);
  for (std::int64_t i = 0; i < images; ++i)
    for (std::int64_t c = 0; c < classes; ++c)
      result.data()[static_cast<std::size_t>(i * classes + c)] =
          numbers.data()[static_cast<std::size_t>(c * images + i)];
  return result;
}

}  // namespace

ClassScores::ClassScores(const Graph& graph) {
  if (graph.outputs().size() != 1 || graph.outputs()[0]->shape().rank() != 2) return;
  const Value* value = graph.outputs()[0];
  std::optional<Layout> layout = Layout{};
  bool quantized = false;
  for (const Node* node = value->producer(); node != nullptr; node = value->producer()) {
    if (node->type() == "Softmax" || node->type() == "Sigmoid") {
      if (!is_over_classes(*node, *layout)) return;
      activation_ = node->type();
      logits_ = node->inputs()[0]->name();
      classes_axis_ = layout->classes;
      quantized_ = quantized;
      return;
    }
    layout = in_front_of(*node, *layout);
    if (!layout) return;
    quantized = quantized || node->type() == kQuantizer;
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
  const Tensor numbers = executor.value(logits_);
  for (std::int64_t axis = classes_axis_ + 1; axis < numbers.shape().rank(); ++axis)
    if (numbers.shape()[axis] > 1) return by_images(numbers, output.shape());
  return Tensor(output.shape(), numbers.data());
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

bool are_probabilities(std::span<const float> output, std::int64_t classes) {
  constexpr double kTolerance = 1e-3;
  const auto step = static_cast<std::size_t>(classes);
  for (std::size_t row = 0; row + step <= output.size(); row += step) {
    const std::span<const float> image = output.subspan(row, step);
    const double sum = std::accumulate(image.begin(), image.end(), 0.0);
    const bool none_negative = std::ranges::all_of(image, [](float x) { return x >= 0; });
    if (!none_negative || !(std::abs(sum - 1) <= kTolerance)) return false;
  }
  return true;
}

double log_loss(std::span<const float> probabilities, std::span<const std::int64_t> labels) {
  constexpr double kLeast = 1e-30;  // of a class that a float says is impossible
  const std::size_t classes = probabilities.size() / labels.size();
  double sum = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const float p = probabilities[i * classes + static_cast<std::size_t>(labels[i])];
    sum -= std::log(std::max<double>(p, kLeast));
  }
  return sum / static_cast<double>(labels.size());
}

std::vector<double> ClassScores::probabilities(std::span<const float> output) const {
  if (activation_.empty()) return softmax(output);
  return {output.begin(), output.end()};
}

}  // namespace rung::cli
