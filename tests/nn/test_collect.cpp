#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "rung/core/error.h"
#include "rung/nn/collect.h"
#include "rung/ops/layers.h"
#include "rung/ops/shape_ops.h"
#include "support/message_of.h"
#include "support/training_helpers.h"

using namespace rung;
using test::columns;

namespace {

using Names = std::vector<std::string>;

constexpr std::int64_t kImages = 22;  // in batches of 8: the last one is smaller

/// [N, 1, 4, 4] -> conv [N, 3, 4, 4] -> rows [3 N, 16], and fc.
Graph network() {
  Graph graph;
  const Var x = graph.input("x", {1, 1, 4, 4});
  const Var conv = nn::conv2d(x, {.out_channels = 3, .kernel = 3, .padding = 1}, "conv");
  const Var rows = nn::reshape(nn::relu(conv, "relu"), {-1, 16}, "rows");
  const Var flat = nn::reshape(rows, {-1, 48}, "flat");
  graph.set_outputs({nn::linear(flat, {.out_features = 4}, "fc"),
                     nn::transpose(nn::reshape(x, {0, 16}, "pixels"), {1, 0}, "turned")});
  return graph;
}

nn::DataLoader loader(std::int64_t images = kImages, bool shuffle = false) {
  return nn::DataLoader(
      {.dataset = columns(images, {1, 4, 4}), .batch_size = 8, .shuffle = shuffle, .workers = 0},
      Rng(3));
}

}  // namespace

TEST_SUITE("nn: values of a network") {
  TEST_CASE("values are those of every batch, behind each other") {
    Graph graph = network();
    Executor executor(graph), by_hand(graph);
    const Names names = {"relu", "x", "rows", "fc"};
    nn::DataLoader data = loader(kImages, true), same = loader(kImages, true);
    const std::vector<Tensor> got = nn::collect_values(executor, data, names);
    REQUIRE(got.size() == 4);
    CHECK(got[0].shape() == Shape{kImages, 3, 4, 4});
    CHECK(got[1].shape() == Shape{kImages, 1, 4, 4});
    CHECK(got[2].shape() == Shape{3 * kImages, 16});
    by_hand.watch(names);
    std::vector<std::int64_t> begin(4);
    for (const nn::Batch& batch : same) {
      (void)by_hand.forward(std::span(&batch.images, 1));
      for (std::size_t i = 0; i < names.size(); ++i) {
        const Tensor expected = by_hand.value(names[i]);
        CHECK(equal(got[i].slice(begin[i], begin[i] + expected.size(0)), expected));
        begin[i] += expected.size(0);
      }
    }
    CHECK(begin == std::vector<std::int64_t>{kImages, kImages, 3 * kImages, kImages});
  }

  TEST_CASE("as many batches as wanted, run as wanted") {
    Graph graph = network();
    Executor executor(graph);
    nn::DataLoader data = loader();
    const nn::CollectOptions options{.num_batches = 2,
                                     .forward = [](Executor& runs, const nn::Batch& batch) {
                                       Tensor doubled = batch.images.clone();
                                       for (float& value : doubled.data()) value *= 2.0f;
                                       (void)runs.forward(std::span(&doubled, 1));
                                     }};
    const Tensor x = nn::collect_values(executor, data, {"x"}, options)[0];
    CHECK(x.shape() == Shape{16, 1, 4, 4});
    nn::DataLoader same = loader();
    CHECK(x.at(9, 0, 1, 2) == 2.0f * nn::collect_values(executor, same, {"x"})[0].at(9, 0, 1, 2));
    CHECK(nn::collect_values(executor, data, {"x"}, {.num_batches = 100})[0].size(0) == kImages);
  }

  TEST_CASE("batch by batch") {
    Graph graph = network();
    Executor executor(graph);
    nn::DataLoader data = loader();
    std::vector<std::int64_t> sizes;
    nn::for_each_batch_values(executor, data, {"relu", "fc"},
                              [&](const nn::Batch& batch, std::span<const Tensor> values) {
                                REQUIRE(values.size() == 2);
                                CHECK(values[0].shape() == Shape{batch.size(), 3, 4, 4});
                                CHECK(values[1].shape() == Shape{batch.size(), 4});
                                sizes.push_back(batch.size());
                              });
    CHECK(sizes == std::vector<std::int64_t>{8, 8, 6});
  }

  TEST_CASE("what the executor watches is as before, whatever happens") {
    Graph graph = network();
    Executor executor(graph);
    executor.watch({"conv"});
    nn::DataLoader data = loader();
    (void)nn::collect_values(executor, data, {"relu", "conv"});
    CHECK(executor.watched() == Names{"conv"});
    CHECK_THROWS_AS(nn::for_each_batch_values(executor, data, {"relu"},
                                              [](const nn::Batch&, std::span<const Tensor>) {
                                                throw std::runtime_error("stop");
                                              }),
                    std::runtime_error);
    CHECK(executor.watched() == Names{"conv"});
    (void)nn::collect_values(executor, data, {"conv"});
    (void)executor.value("conv");  // nothing had to change: the last forward still counts
  }

  TEST_CASE("what does not belong to the images is refused by name") {
    Graph graph = network();
    Executor executor(graph);
    nn::DataLoader data = loader(11);  // batches of 8 and of 3
    const auto collect = [&](const char* name) {
      return message_of([&] { (void)nn::collect_values(executor, data, {name}); });
    };
    CHECK(collect("rleu").find("closest: relu") != std::string::npos);
    CHECK(collect("turned") ==
          "collect_values: turned is [16, 3] for a batch of 3: axis 0 does not belong to the "
          "images");
    CHECK(executor.watched().empty());
    const Names names = {"x"};
    CHECK(message_of([&] {
            (void)nn::collect_values(executor, data, names, {.num_batches = 0});
          }).find("num_batches must be positive") != std::string::npos);
  }
}
