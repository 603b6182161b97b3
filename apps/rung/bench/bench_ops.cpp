#include "bench/bench_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "rung/exec/executor.h"
#include "rung/testing/op_cases.h"

namespace rung::cli {
namespace {

using testing::OpCase;

constexpr std::int64_t kWarmUp = 2;  // compiles the plan, touches memory

class OpSubject {
 public:
  explicit OpSubject(const OpCase& op)
      : graph_(graph_of(op, op.large)),
        executor_(graph_),
        inputs_(numbers_of(op, op.large, Rng(1))),
        gradient_(Tensor::full(graph_.outputs()[0]->shape(), 1.0f)) {
    std::vector<std::string> names;  // watched inputs get gradients
    for (const Value* input : graph_.inputs()) names.push_back(input->name());
    executor_.watch(names);
  }
  /// Each returns how long it took, in seconds.
  double forward() {
    return seconds([&] { (void)executor_.forward(inputs_, Mode::train); });
  }
  double backward() {
    return seconds([&] { executor_.backward(gradient_); });
  }

 private:
  template <typename Body>
  static double seconds(const Body& body) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  Graph graph_;
  Executor executor_;
  std::vector<Tensor> inputs_;
  Tensor gradient_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

void time_ops(std::int64_t steps, const Console& console, Report& report) {
  console.line(fmt::format("{:<28}{:<34}{:>12}{:>12}", "", "inputs", "forward", "backward"));
  for (const OpCase& op : testing::op_cases()) {
    OpSubject subject(op);
    std::vector<double> forward, backward;
    for (std::int64_t i = -kWarmUp; i < steps; ++i) {
      const double there = subject.forward(), back = subject.backward();
      if (i < 0) continue;
      forward.push_back(there);
      backward.push_back(back);
    }
    std::string inputs;
    for (const Shape& shape : op.large) {
      if (!inputs.empty()) inputs += ' ';
      inputs += shape.to_string();
    }
    console.line(fmt::format("{:<28}{:<34}{:9.3f} ms{:9.3f} ms", op.name, inputs,
                             median(forward) * 1e3, median(backward) * 1e3));
    Report row;
    row.set("op", std::string_view(op.name));
    row.set("forward_s", median(forward));
    row.set("backward_s", median(backward));
    report.append("ops", row);
  }
}

}  // namespace rung::cli
