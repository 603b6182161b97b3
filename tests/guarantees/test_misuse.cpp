// Wrong calls of every part of the library: each is an Error that says who, what and what to do,
// and leaves the object as it was. More of them stand in the tests of the parts.

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "rung/core/error.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
#include "rung/graph/kernel.h"
#include "rung/nn/data.h"
#include "rung/ops/init.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"
#include "support/io_helpers.h"
#include "support/train_step.h"

using namespace rung;

namespace {

/// An op of a user's own that calls back while it runs.
struct Callback final : SimpleOp<Callback> {
  static constexpr std::string_view kType = "Callback";
  std::function<void()> call;
  std::vector<Shape> infer(std::span<const Shape> in) const override { return {in[0]}; }
  void forward(const Io& io) const {
    std::ranges::copy(io.input(0).span(), io.output(0).data);
    call();
  }
  void backward(const GradIo& io) const {
    std::ranges::copy(io.output_grad(0).span(), io.input_grad(0).data);
  }
};

Graph network(std::int64_t channels = 4) {
  Graph graph;
  Var x = graph.input("input", {1, 3, 8, 8});
  x = nn::conv2d(x, {.out_channels = channels, .kernel = 3}, "conv1");
  x = nn::flatten(nn::global_avg_pool(nn::relu(x, "relu1"), "pool"), "flatten");
  graph.set_outputs({nn::linear(x, {.out_features = 5}, "fc")});
  nn::init_parameters(graph, Rng(5));
  return graph;
}

Tensor images(std::int64_t batch = 2) { return noise({batch, 3, 8, 8}, 1); }

bool same(const ConstTensor& a, const ConstTensor& b) {
  return a.shape() == b.shape() && std::ranges::equal(a.data(), b.data());
}

}  // namespace

TEST_SUITE_BEGIN("misuse");

TEST_CASE("backward before forward, or after an evaluation") {
  Graph graph = network();
  Executor executor(graph);
  const std::string expected = "Executor::backward: needs a forward in Mode::train just before it";
  CHECK(message_of([&] { executor.backward(Tensor(Shape{2, 5})); }) == expected);
  (void)executor.forward(images());
  CHECK(message_of([&] { executor.backward(Tensor(Shape{2, 5})); }) == expected);
  CHECK(!graph.parameter("fc.weight").has_grad());
}

TEST_CASE("inputs and gradients of another shape than the graph takes") {
  Graph graph = network();
  Executor executor(graph);
  const Tensor before = executor.forward(images());
  const std::string channels = message_of([&] { executor.forward(noise({2, 4, 8, 8}, 1)); });
  CHECK(channels ==
        "[Conv conv1] weight must be [O, I/groups, KH, KW] with I/groups = 4 and O a multiple of "
        "1, got [4, 3, 3, 3]");
  CHECK(message_of([&] {
          executor.forward(noise({2, 3}, 1));
        }) == "Executor: input input must have rank 4 like [1, 3, 8, 8], got [2, 3]");
  (void)executor.forward(images(), Mode::train);
  CHECK(message_of([&] {
          executor.backward(Tensor(Shape{2, 4}));
        }).find("[2, 4]") != std::string::npos);
  CHECK(same(executor.forward(images()), before));
}

TEST_CASE("an executor used from two threads") {
  Graph graph = network();
  Executor* shared = nullptr;
  std::string message;
  auto op = std::make_unique<Callback>();
  op->call = [&] {  // while the executor is at work, another thread calls it
    std::thread([&] { message = message_of([&] { shared->forward(images()); }); }).join();
  };
  graph.insert_after(graph.value("relu1"), std::move(op), {}, "callback");
  Executor executor(graph);
  shared = &executor;
  const Tensor result = executor.forward(images());
  CHECK(message ==
        "Executor::forward: the executor is running already; it belongs to one thread: make an "
        "executor of its own for every other");
  CHECK(same(executor.forward(images()), result));
}

TEST_CASE("a graph edited while it runs") {
  Graph graph = network();
  bool edit = false;
  auto op = std::make_unique<Callback>();
  op->call = [&] {
    if (edit) graph.touch();
  };
  graph.insert_after(graph.value("relu1"), std::move(op), {}, "callback");
  Executor executor(graph);
  const Tensor before = executor.forward(images());
  edit = true;
  CHECK(message_of([&] { executor.forward(images()); }) ==
        "Executor::forward: the graph was edited while it ran; edit it between two calls");
  edit = false;
  CHECK(same(executor.forward(images()), before));
}

TEST_CASE("a quantizer used, or asked for its encoding, before calibration") {
  QuantizationSimModel sim(network(), {});
  const std::string used = message_of([&] { sim.executor().forward(images()); });
  CHECK(used.starts_with("[QuantizeDequantize "));
  CHECK(used.ends_with("has no encoding yet: run compute_encodings(), set a range, or disable it"));
  const std::string asked = message_of([&] { (void)sim.quantizer("relu1").encoding(); });
  CHECK(asked == "quantizer relu1 has no encoding yet: call compute_encodings or set_range");
  CHECK(message_of([&] { sim.quantizer("relu1").freeze(); }).find("relu1") != std::string::npos);
  CHECK(!sim.quantizer("relu1").frozen());
  CHECK(message_of([&] { (void)sim.quantizer("relu"); }).find("relu1") != std::string::npos);
}

TEST_CASE("encodings of another network") {
  const iotest::TemporaryFolder folder;
  QuantizationSimModel wide(network(8), {.config_file = "per_channel"});
  wide.compute_encodings([](Executor& executor) { executor.forward(images()); });
  wide.export_to(folder / ".", "wide");
  QuantizationSimModel sim(network(4), {.config_file = "per_channel"});
  sim.compute_encodings([](Executor& executor) { executor.forward(images()); });
  const Tensor before = sim.executor().forward(images());
  const std::string message = message_of([&] { sim.load_encodings(folder / "wide.encodings"); });
  CHECK(message.find("conv1.weight") != std::string::npos);
  CHECK(message.find('8') != std::string::npos);
  CHECK(same(sim.executor().forward(images()), before));
}

TEST_CASE("a batch that would need more memory than there is") {
  Graph graph = network();
  Executor executor(graph);
  const Tensor before = executor.forward(images());
  // No tensor of this size is made: only the plan is asked for.
  const std::vector<Shape> huge{Shape{1 << 22, 3, 8, 8}};
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  const rlimit small{rlim_t{8} << 30, limit.rlim_max};
  setrlimit(RLIMIT_AS, &small);
  const std::string message = message_of([&] { executor.plan(huge, Mode::train); });
  setrlimit(RLIMIT_AS, &limit);
  CHECK(message.starts_with("Executor: a plan for inputs [4194304, 3, 8, 8] needs "));
  CHECK(message.find("MiB are available: use a smaller batch") != std::string::npos);
  CHECK(same(executor.forward(images()), before));
}

#ifndef __SANITIZE_ADDRESS__  // which ends the process if it has no room for a thread
TEST_CASE("a loader whose workers cannot be started") {
  const std::size_t count = 64;
  const auto data = std::make_shared<nn::InMemoryDataset>(
      Shape{1, 2, 2}, 2, std::vector<std::uint8_t>(count * 4), std::vector<std::uint8_t>(count));
  nn::DataLoader loader({.dataset = data, .batch_size = 1, .workers = 64});
  const auto batches = [&] {
    std::size_t all = 0;
    for (const nn::Batch& batch : loader) all += batch.labels.size();
    return all;
  };
  double pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  const auto used = static_cast<rlim_t>(pages) * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
  const rlimit small{used + (rlim_t{64} << 20), limit.rlim_max};
  setrlimit(RLIMIT_AS, &small);
  const std::string message = message_of(batches);
  setrlimit(RLIMIT_AS, &limit);
  CHECK(message.starts_with("DataLoader: cannot start 64 workers: "));
  CHECK(batches() == count);
}
#endif

TEST_SUITE_END();
