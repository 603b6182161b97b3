// LayerNormalization, InstanceNormalization and GroupNormalization: groups of elements that lie
// behind each other are normalized; which number scales and which shifts an element differs.

#include <cmath>

#include "ops/common.h"
#include "ops/norm/epsilon.h"
#include "rung/core/parallel.h"
#include "rung/ops/norm.h"

namespace rung {
namespace {

/// How a norm cuts x. Elements `run` behind each other have one weight, there are `period` weights.
struct Cut {
  std::int64_t groups, size;  ///< how many there are in all, and how large
  std::int64_t run, period;
  std::int64_t weight_of(std::int64_t i) const { return i / run % period; }
};

struct Statistics {
  double mean, inverse;  ///< 1 / sqrt(variance + epsilon)
};

Statistics statistics_of(const float* x, std::int64_t size, float epsilon) {
  double sum = 0.0, squares = 0.0;
  for (std::int64_t i = 0; i < size; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(size);
  for (std::int64_t i = 0; i < size; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, 1.0 / std::sqrt(squares / static_cast<double>(size) + epsilon)};
}

template <typename Body>
void each_group(const Cut& cut, const Body& body) {
  const std::int64_t grain =
      std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, cut.size));
  parallel_for(cut.groups, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t group = begin; group < end; ++group) body(group * cut.size);
  });
}

/// Inputs: x, weight, bias?. The derived class says how it cuts x.
template <typename Derived>
struct GroupNorm : SimpleOp<Derived> {
  float epsilon = 1e-5f;

  Needs backward_needs() const override { return Needs::inputs(0b011); }

  void forward(const Io& io) const {
    const float *x = io.input(0).data, *weight = io.input(1).data;
    const float* bias = io.input_count() > 2 ? io.input(2).data : nullptr;
    float* y = io.output(0).data;
    const Cut cut = self().cut(*io.input(0).shape);
    each_group(cut, [&](std::int64_t first) {
      const Statistics s = statistics_of(x + first, cut.size, epsilon);
      for (std::int64_t i = first; i < first + cut.size; ++i) {
        const std::int64_t w = cut.weight_of(i);
        y[i] = static_cast<float>((x[i] - s.mean) * s.inverse * weight[w] +
                                  (bias != nullptr ? bias[w] : 0.0f));
      }
    });
  }

  void backward(const GradIo& io) const {
    const Cut cut = self().cut(*io.input(0).shape);
    if (io.wants(0)) backward_data(io, cut);
    const bool wants_bias = io.input_count() > 2 && io.wants(2);
    if (io.wants(1) || wants_bias) backward_weights(io, cut, wants_bias);
  }

 private:
  const Derived& self() const { return static_cast<const Derived&>(*this); }

  /// With g = dy * weight and n the normalized x: dx = (g - mean(g) - n mean(g n)) * inverse.
  void backward_data(const GradIo& io, const Cut& cut) const {
    const float *x = io.input(0).data, *weight = io.input(1).data, *dy = io.output_grad(0).data;
    float* dx = io.input_grad(0).data;
    each_group(cut, [&](std::int64_t first) {
      const Statistics s = statistics_of(x + first, cut.size, epsilon);
      double sum = 0.0, dot = 0.0;
      for (std::int64_t i = first; i < first + cut.size; ++i) {
        const double g = static_cast<double>(dy[i]) * weight[cut.weight_of(i)];
        sum += g;
        dot += g * (x[i] - s.mean) * s.inverse;
      }
      const auto count = static_cast<double>(cut.size);
      for (std::int64_t i = first; i < first + cut.size; ++i) {
        const double g = static_cast<double>(dy[i]) * weight[cut.weight_of(i)];
        const double normalized = (x[i] - s.mean) * s.inverse;
        dx[i] = static_cast<float>((g - sum / count - normalized * dot / count) * s.inverse);
      }
    });
  }

  /// In order, and in double: every group may have a part in every sum.
  void backward_weights(const GradIo& io, const Cut& cut, bool wants_bias) const {
    const float *x = io.input(0).data, *dy = io.output_grad(0).data;
    std::vector<double> scales(static_cast<std::size_t>(cut.period), 0.0), shifts = scales;
    for (std::int64_t first = 0; first < cut.groups * cut.size; first += cut.size) {
      const Statistics s = statistics_of(x + first, cut.size, epsilon);
      for (std::int64_t i = first; i < first + cut.size; ++i) {
        const auto w = static_cast<std::size_t>(cut.weight_of(i));
        scales[w] += dy[i] * (x[i] - s.mean) * s.inverse;
        shifts[w] += dy[i];
      }
    }
    const auto write = [](const std::vector<double>& sums, const View& to) {
      for (std::size_t i = 0; i < sums.size(); ++i) to.data[i] = static_cast<float>(sums[i]);
    };
    if (io.wants(1)) write(scales, io.input_grad(1));
    if (wants_bias) write(shifts, io.input_grad(2));
  }
};

/// Shape rule of the norms of channels.
std::vector<Shape> infer_channels(std::span<const Shape> in) {
  require_input_count(in, 3);
  const Shape& x = in[0];
  require(x.rank() >= 3 && x.numel() > 0, "x must be [N, C, ...] and not empty, got {}", x);
  for (const std::size_t i : {1u, 2u})
    require(in[i] == Shape{x[1]}, "weight and bias must be [{}], got {}", x[1], in[i]);
  return {x};
}

struct LayerNormalization final : GroupNorm<LayerNormalization> {
  static constexpr std::string_view kType = "LayerNormalization";
  std::int64_t axis = -1;

  void visit(AttributeVisitor& visitor) override {
    visitor("axis", axis);
    visitor("epsilon", epsilon);
  }
  std::vector<Shape> infer(std::span<const Shape> in) const override {
    require(in.size() == 2 || in.size() == 3, "takes x, weight and optionally bias, got {} inputs",
            in.size());
    const Shape& x = in[0];
    require_epsilon(epsilon);
    require(x.numel() > 0, "cannot normalize nothing, got {}", x);
    const auto group = x.dims().subspan(static_cast<std::size_t>(require_axis(axis, x)));
    const Shape expected(std::vector<std::int64_t>(group.begin(), group.end()));
    for (std::size_t i = 1; i < in.size(); ++i)
      require(in[i] == expected, "weight and bias must be {}, got {}", expected, in[i]);
    return {x};
  }
  Cut cut(const Shape& x) const {
    const std::int64_t size = product(x, require_axis(axis, x), x.rank());
    return {x.numel() / size, size, 1, size};
  }
};

struct InstanceNormalization final : GroupNorm<InstanceNormalization> {
  static constexpr std::string_view kType = "InstanceNormalization";

  void visit(AttributeVisitor& visitor) override { visitor("epsilon", epsilon); }
  std::vector<Shape> infer(std::span<const Shape> in) const override {
    require_epsilon(epsilon);
    return infer_channels(in);
  }
  Cut cut(const Shape& x) const {
    const std::int64_t size = product(x, 2, x.rank());
    return {x[0] * x[1], size, size, x[1]};
  }
};

struct GroupNormalization final : GroupNorm<GroupNormalization> {
  static constexpr std::string_view kType = "GroupNormalization";
  std::int64_t num_groups = 1;

  void visit(AttributeVisitor& visitor) override {
    visitor("epsilon", epsilon);
    visitor("num_groups", num_groups);
  }
  std::vector<Shape> infer(std::span<const Shape> in) const override {
    require_epsilon(epsilon);
    std::vector<Shape> shapes = infer_channels(in);
    require(num_groups > 0 && in[0][1] % num_groups == 0,
            "num_groups must divide the {} channels, got {}", in[0][1], num_groups);
    return shapes;
  }
  Cut cut(const Shape& x) const {
    const std::int64_t plane = product(x, 2, x.rank());
    return {x[0] * num_groups, x[1] / num_groups * plane, plane, x[1]};
  }
};

Var add_norm(std::unique_ptr<Op> op, Var x, const Shape& shape, std::string_view name) {
  Graph& graph = x.graph();
  const Var weight =
      graph.parameter(fmt::format("{}.weight", name), Tensor::full(shape, 1.0f), Role::norm);
  const Var bias = graph.parameter(fmt::format("{}.bias", name), Tensor(shape), Role::bias);
  return graph.add(std::move(op), {x, weight, bias}, name);
}

}  // namespace

std::unique_ptr<Op> make_group_normalization() { return std::make_unique<GroupNormalization>(); }
std::unique_ptr<Op> make_instance_normalization() {
  return std::make_unique<InstanceNormalization>();
}
std::unique_ptr<Op> make_layer_normalization() { return std::make_unique<LayerNormalization>(); }

Var nn::layer_norm(Var x, const LayerNormOptions& options, std::string_view name) {
  auto op = std::make_unique<LayerNormalization>();
  op->axis = options.axis;
  op->epsilon = options.epsilon;
  const Shape& shape = x.shape();
  const auto group = shape.dims().subspan(static_cast<std::size_t>(require_axis(op->axis, shape)));
  return add_norm(std::move(op), x, Shape(std::vector<std::int64_t>(group.begin(), group.end())),
                  name);
}

Var nn::instance_norm(Var x, const InstanceNormOptions& options, std::string_view name) {
  auto op = std::make_unique<InstanceNormalization>();
  op->epsilon = options.epsilon;
  return add_norm(std::move(op), x, Shape{x.channels()}, name);
}

Var nn::group_norm(Var x, const GroupNormOptions& options, std::string_view name) {
  auto op = std::make_unique<GroupNormalization>();
  op->num_groups = options.groups;
  op->epsilon = options.epsilon;
  return add_norm(std::move(op), x, Shape{x.channels()}, name);
}

}  // namespace rung
