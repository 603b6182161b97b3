// An op of one's own: what it computes, its gradient, an attribute. Everything that the library does
// with its own ops it does with this one: shapes, training, memory, quantizers, printing.

#include <rung/rung.h>

#include <cmath>
#include <cstdint>
#include <iostream>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

using namespace rung;

namespace {

/// y = (x + sqrt(x^2 + b)) / 2: a smooth Relu without exp (Barron 2021).
struct Squareplus final : SimpleOp<Squareplus> {
  static constexpr std::string_view kType = "Squareplus";
  static constexpr Layout kLayout = Layout::elementwise;  // any layout, as each number is alone
  float b = 4.0f;

  // 1. What it is: attributes are shown once, for printing, saving and comparing.
  void visit(AttributeVisitor& visitor) override { visitor("b", b); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override { return {inputs[0]}; }

  // 2. What it computes. View::count numbers, in whatever layout the plan has chosen.
  void forward(const Io& io) const {
    const View &x = io.input(0), &y = io.output(0);
    parallel_for(x.count, 4096, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        y.data[i] = (x.data[i] + std::sqrt(x.data[i] * x.data[i] + b)) / 2;
    });
  }

  // 3. Its gradient, dx = dy * dy/dx, beside it. The plan keeps x for it, because it is read.
  void backward(const GradIo& io) const {
    if (!io.wants(0)) return;
    const View &x = io.input(0), &dy = io.output_grad(0), &dx = io.input_grad(0);
    parallel_for(x.count, 4096, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        dx.data[i] = dy.data[i] * (1 + x.data[i] / std::sqrt(x.data[i] * x.data[i] + b)) / 2;
    });
  }
};

/// Its builder, as nn::relu is Relu's.
Var squareplus(Var x, float b, std::string_view name) {
  auto op = std::make_unique<Squareplus>();
  op->b = b;
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace

int main() {
  Graph model;
  model.set_seed(1);
  Var x = model.input("x", {1, 4});
  x = squareplus(nn::linear(x, {.out_features = 8}, "fc1"), 0.5f, "act");
  model.set_outputs({nn::linear(x, {.out_features = 2}, "fc2")});
  std::cout << model << "\n";

  // 4. Is the gradient right? Differences say so, for x and for all weights.
  Tensor points(Shape{16, 4});
  Rng rng(2);
  for (float& number : points.data()) number = static_cast<float>(rng.normal());
  const std::vector<Tensor> inputs{points};
  const testing::GradcheckResult check = testing::gradcheck(model, inputs);
  std::cout << (check.ok() ? "its gradient is right: " : "its gradient is wrong: ")
            << check.to_string() << "\n";

  // 5. A simulation puts a quantizer behind it, as behind any other op.
  QuantizationSimModel sim(model, {.default_output_bw = 4, .default_param_bw = 8});
  sim.compute_encodings([&](Executor& executor) { executor.forward(points); });
  std::cout << sim.quantizer("act").encoding() << "\n";
  return check.ok() ? 0 : 1;
}
