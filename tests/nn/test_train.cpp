#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "rung/core/error.h"
#include "rung/nn/lr_scheduler.h"
#include "rung/nn/train.h"
#include "rung/ops/init.h"
#include "rung/ops/layers.h"
#include "support/training_helpers.h"

using namespace rung;
using test::columns;
using test::values;

namespace {

Graph small_network() {
  Graph graph;
  Var x = graph.input("x", {1, 1, 4, 4});
  x = nn::relu(nn::linear(nn::flatten(x, "flatten"), {.out_features = 12}, "fc1"), "relu");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc2")});
  nn::init_parameters(graph, Rng(5));
  return graph;
}

nn::DataLoader shuffled(std::int64_t count, std::int64_t batch_size, int workers = 2) {
  return nn::DataLoader({.dataset = columns(count, {1, 4, 4}),
                         .transform = nn::normalize({0.3f}, {0.2f}),
                         .batch_size = batch_size,
                         .shuffle = true,
                         .workers = workers},
                        Rng(8));
}

}  // namespace

TEST_SUITE_BEGIN("nn train");

TEST_CASE("train_one_epoch is the loop that one would write by hand") {
  Graph a = small_network(), b = small_network();
  Executor first(a), second(b);
  nn::Sgd sgd_a(a.parameters(), {.lr = 0.1, .momentum = 0.9});
  nn::Sgd sgd_b(b.parameters(), {.lr = 0.1, .momentum = 0.9});
  nn::DataLoader loader_a = shuffled(50, 8), loader_b = shuffled(50, 8, 0);

  const nn::Metrics metrics = nn::train_one_epoch(first, loader_a, nn::cross_entropy, sgd_a);
  double loss_sum = 0.0;
  std::int64_t correct = 0, images = 0;
  for (const nn::Batch& batch : loader_b) {
    const Tensor logits = second.forward(batch.images, Mode::train);
    const nn::Loss loss = nn::cross_entropy(logits, batch.labels);
    sgd_b.zero_grad();
    second.backward(loss.gradient);
    sgd_b.step();
    loss_sum += loss.value * static_cast<double>(batch.size());
    correct += nn::count_correct(logits, batch.labels);
    images += batch.size();
  }
  CHECK(values(a) == values(b));
  CHECK(values(a) != values(small_network()));
  CHECK(metrics.images == 50);
  CHECK(images == 50);
  CHECK(metrics.loss == doctest::Approx(loss_sum / 50).epsilon(1e-14));
  CHECK(metrics.top1 == static_cast<double>(correct) / 50.0);
  CHECK(metrics.seconds > 0.0);
}

TEST_CASE("a few epochs solve an easy task") {
  Graph graph = small_network();
  Executor executor(graph);
  nn::Sgd sgd(graph.parameters(), {.lr = 0.1, .momentum = 0.9});
  nn::DataLoader train = shuffled(400, 20);
  const double before = nn::evaluate(executor, train).loss;
  for (int epoch = 0; epoch < 5; ++epoch)
    nn::train_one_epoch(executor, train, nn::cross_entropy, sgd);
  const nn::Metrics after = nn::evaluate(executor, train);
  CHECK(before > 1.0);
  CHECK(after.loss < 0.05);
  CHECK(after.top1 > 0.99);
}

TEST_CASE("metrics weigh every image the same whatever the batch size") {
  Graph graph = small_network();
  Executor executor(graph);
  nn::DataLoader whole = shuffled(10, 10), parts = shuffled(10, 4);  // 4 + 4 + 2
  const nn::Metrics a = nn::evaluate(executor, whole), b = nn::evaluate(executor, parts);
  CHECK(a.loss == doctest::Approx(b.loss).epsilon(1e-6));
  CHECK(a.top1 == b.top1);
  CHECK(b.images == 10);
}

TEST_CASE("callbacks see every step, and a schedule can set the rate before each") {
  Graph graph = small_network();
  Executor executor(graph);
  nn::Sgd sgd(graph.parameters(), {.lr = 0.1});
  nn::DataLoader loader = shuffled(10, 4);
  const nn::LrSchedule schedule = nn::CosineAnnealingLR{.t_max = 1};
  std::vector<double> rates;
  std::vector<std::int64_t> done, images;
  nn::train_one_epoch(executor, loader, nn::cross_entropy, sgd,
                      {.before_step =
                           [&](std::int64_t batch) {
                             nn::apply_schedule(schedule, static_cast<double>(batch) / 3.0, sgd);
                           },
                       .on_progress =
                           [&](const nn::Progress& progress) {
                             CHECK(progress.batches == 3);
                             rates.push_back(sgd.lr());
                             done.push_back(progress.batch);
                             images.push_back(progress.metrics.images);
                           }});
  CHECK(done == std::vector<std::int64_t>{1, 2, 3});
  CHECK(images == std::vector<std::int64_t>{4, 8, 10});
  REQUIRE(rates.size() == 3);
  CHECK(rates[0] == doctest::Approx(0.1));
  CHECK(rates[1] == doctest::Approx(0.075));
  CHECK(rates[2] == doctest::Approx(0.025));
}

TEST_CASE("training stops with an error, and keeps the parameters, when the loss is not finite") {
  Graph graph = small_network();
  Executor executor(graph);
  nn::Sgd sgd(graph.parameters(), {.lr = 0.1});
  nn::DataLoader loader = shuffled(10, 4);
  int calls = 0;
  std::vector<float> before;
  const nn::LossFunction failing = [&](const Tensor& logits, std::span<const std::int64_t> labels) {
    nn::Loss loss = nn::cross_entropy(logits, labels);
    if (++calls == 2) {
      before = values(graph);
      loss.value = std::nan("");
    }
    return loss;
  };
  CHECK_THROWS_WITH_AS(nn::train_one_epoch(executor, loader, failing, sgd),
                       "train_one_epoch: the loss is NaN at batch 2 of 3: every node's output is "
                       "finite, the loss function's is not; try a lower learning rate, a warm-up "
                       "or clipped gradients",
                       Error);
  CHECK(values(graph) == before);
  CHECK(calls == 2);
}

TEST_CASE("training that was interrupted within an epoch ends with the same parameters") {
  Graph whole = small_network(), part = small_network();
  Executor whole_executor(whole), part_executor(part);
  nn::Adam adam(whole.parameters(), {.lr = 0.01});
  nn::DataLoader loader = shuffled(30, 4);
  nn::train_one_epoch(whole_executor, loader, nn::cross_entropy, adam);

  nn::OptimizerState optimizer_state;
  nn::DataLoaderState loader_state;
  {
    nn::Adam first(part.parameters(), {.lr = 0.01});
    nn::DataLoader until = shuffled(30, 4);
    const auto interrupt = [&](const nn::Progress& progress) {
      if (progress.batch < 3) return;
      optimizer_state = first.state();
      loader_state = until.state();
      throw Error("interrupted");
    };
    CHECK_THROWS_WITH_AS(nn::train_one_epoch(part_executor, until, nn::cross_entropy, first,
                                             {.on_progress = interrupt}),
                         "interrupted", Error);
  }
  nn::Adam second(part.parameters(), {.lr = 0.01});
  second.load_state(optimizer_state);
  nn::DataLoader rest = shuffled(30, 4);
  rest.load_state(loader_state);
  std::vector<std::int64_t> done;
  nn::train_one_epoch(
      part_executor, rest, nn::cross_entropy, second,
      {.on_progress = [&](const nn::Progress& progress) { done.push_back(progress.batch); }});
  CHECK(done == std::vector<std::int64_t>{4, 5, 6, 7, 8});
  CHECK(values(part) == values(whole));
}

TEST_CASE("after_backward sees all gradients and may change them") {
  Graph graph = small_network();
  Executor executor(graph);
  nn::Sgd sgd(graph.parameters(), {.lr = 0.1});
  nn::DataLoader loader = shuffled(10, 4);
  const std::vector<float> before = values(graph);
  std::vector<std::int64_t> batches;
  nn::train_one_epoch(executor, loader, nn::cross_entropy, sgd,
                      {.after_backward = [&](std::int64_t batch) {
                        batches.push_back(batch);
                        for (Parameter* parameter : graph.parameters())
                          for (float& g : parameter->grad().data()) g = 0;
                      }});
  CHECK(batches == std::vector<std::int64_t>{0, 1, 2});
  CHECK(values(graph) == before);
}

namespace {

/// columns(), each image with its index and the index squared as its target.
class WithTargets final : public nn::Dataset {
 public:
  explicit WithTargets(std::int64_t count) : images_(columns(count, {1, 4, 4})) {}
  std::int64_t size() const override { return images_->size(); }
  Shape image_shape() const override { return images_->image_shape(); }
  std::int64_t num_classes() const override { return 4; }
  std::int64_t get(std::int64_t index, nn::Image& image) const override {
    return images_->get(index, image);
  }
  Shape target_shape() const override { return {2}; }
  void target(std::int64_t index, std::span<float> target) const override {
    REQUIRE(target.size() == 2);
    target[0] = static_cast<float>(index);
    target[1] = static_cast<float>(index * index);
  }

 private:
  std::shared_ptr<const nn::Dataset> images_;
};

/// Sums |a - b| into `sum`, with its gradient by a.
Tensor add_distance(const Tensor& a, const Tensor& b, double& sum) {
  const nn::Loss loss = nn::l1_loss(a, b);
  sum += loss.value;
  return loss.gradient;
}

}  // namespace

TEST_CASE("batches know which images they hold, and bring the targets of a dataset along") {
  nn::DataLoader loader({.dataset = nn::take(std::make_shared<WithTargets>(20), 10),
                         .batch_size = 4,
                         .shuffle = true},
                        Rng(8));
  std::vector<std::int64_t> seen;
  for (const nn::Batch& batch : loader) {
    CHECK(batch.targets.shape() == Shape{batch.size(), 2});
    REQUIRE(batch.indices.size() == batch.labels.size());
    for (std::int64_t i = 0; i < batch.size(); ++i) {
      const std::int64_t index = batch.indices[static_cast<std::size_t>(i)];
      CHECK(batch.targets.at(i, 0) == static_cast<float>(index));
      CHECK(batch.targets.at(i, 1) == static_cast<float>(index * index));
      CHECK(loader.dataset().label(index) == batch.labels[static_cast<std::size_t>(i)]);
      seen.push_back(index);
    }
  }
  CHECK(!std::ranges::is_sorted(seen));
  std::ranges::sort(seen);
  CHECK(seen == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  nn::DataLoader plain = shuffled(10, 4);
  CHECK(!plain.begin()->targets.defined());
}

TEST_CASE("a loss may look at targets, at a teacher and at several outputs") {
  const auto two_heads = [] {
    Graph graph;
    Var x = nn::flatten(graph.input("x", {1, 1, 4, 4}), "flatten");
    x = nn::relu(nn::linear(x, {.out_features = 12}, "fc1"), "relu");
    graph.set_outputs({nn::linear(x, {.out_features = 4}, "classes"),
                       nn::linear(x, {.out_features = 2}, "numbers")});
    nn::init_parameters(graph, Rng(5));
    return graph;
  };
  const auto loader = [] {
    return nn::DataLoader({.dataset = std::make_shared<WithTargets>(10), .batch_size = 4});
  };
  Graph a = two_heads(), b = two_heads(), teacher_graph = small_network();
  Executor first(a), second(b), teacher(teacher_graph);
  nn::Sgd sgd_a(a.parameters(), {.lr = 0.01}), sgd_b(b.parameters(), {.lr = 0.01});
  nn::DataLoader loader_a = loader(), loader_b = loader();
  const nn::LossFunction loss = [&](std::span<const Tensor> outputs, const nn::Batch& batch) {
    nn::LossOfOutputs result;
    result.gradients.push_back(
        add_distance(outputs[0], teacher.forward(batch.images), result.value));
    result.gradients.push_back(add_distance(outputs[1], batch.targets, result.value));
    return result;
  };
  const nn::Metrics metrics = nn::train_one_epoch(first, loader_a, loss, sgd_a);
  double sum = 0;
  std::int64_t correct = 0;
  for (const nn::Batch& batch : loader_b) {
    const std::vector<Tensor> outputs = second.forward(std::span(&batch.images, 1), Mode::train);
    double value = 0;
    const std::vector<Tensor> gradients = {
        add_distance(outputs[0], teacher.forward(batch.images), value),
        add_distance(outputs[1], batch.targets, value)};
    sgd_b.zero_grad();
    second.backward(gradients);
    sgd_b.step();
    sum += value * static_cast<double>(batch.size());
    correct += nn::count_correct(outputs[0], batch.labels);
  }
  CHECK(values(a) == values(b));
  CHECK(metrics.loss == doctest::Approx(sum / 10).epsilon(1e-12));
  CHECK(metrics.top1 == static_cast<double>(correct) / 10);
  // Nothing but numbers: nothing is counted.
  const auto no_scores = [](const Tensor&) { return Tensor(); };
  CHECK(nn::evaluate(first, loader_a, {.loss = loss, .scores = no_scores}).top1 == 0);
  CHECK(nn::evaluate(first, loader_a, {.loss = loss}).loss > 0);
  // Of two outputs cross entropy does not know which is meant.
  CHECK_THROWS_WITH_AS(nn::evaluate(first, loader_a),
                       "LossFunction: the network has 2 outputs, the function takes one; give one "
                       "that takes std::span<const Tensor>",
                       Error);
  const nn::LossFunction forgetful = [](std::span<const Tensor>, const nn::Batch&) {
    return nn::LossOfOutputs{};
  };
  CHECK_THROWS_AS(nn::train_one_epoch(first, loader_a, forgetful, sgd_a), Error);
  const nn::LossFunction one = [](const Tensor& output, const nn::Batch& batch) {
    return nn::mse_loss(output, Tensor(output.shape(), batch.targets.data()));
  };
  CHECK_THROWS_AS(nn::evaluate(first, loader_a, {.loss = one}), Error);
}

TEST_CASE("a loader without batches is refused") {
  Graph graph = small_network();
  Executor executor(graph);
  nn::Sgd sgd(graph.parameters(), {.lr = 0.1});
  nn::DataLoader empty({.dataset = columns(3, {1, 4, 4}), .batch_size = 4, .drop_last = true});
  CHECK_THROWS_AS(nn::train_one_epoch(executor, empty, nn::cross_entropy, sgd), Error);
  CHECK_THROWS_AS(nn::evaluate(executor, empty), Error);
  nn::DataLoader loader = shuffled(10, 4);
  CHECK_THROWS_AS(nn::train_one_epoch(executor, loader, nullptr, sgd), Error);
}

TEST_SUITE_END();
