#include <doctest/doctest.h>
#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <memory>
#include <vector>

#include "rung/core/parallel.h"
#include "rung/nn/data.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/nn/train.h"
#include "support/quantsim_net.h"

// Long runs in small: what does not grow in a thousand rounds does not grow in an epoch.

using namespace rung;

namespace {

constexpr int kWarm = 100, kRounds = 1000;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCounts = false;  // sanitizers keep what was freed
#else
constexpr bool kCounts = true;
#endif

/// Returns the resident memory of this process, in bytes, without what malloc could give back.
double resident() {
  malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  double all = 0, pages = 0;
  file >> all >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// Computes with one thread while it lives: oneDNN's wait for each other in a loop, which takes
/// long while other programs use the processors.
struct OneThread {
  OneThread() { set_thread_count(1); }
  ~OneThread() { set_thread_count(before); }
  const int before = thread_count();
};

/// Returns how much memory grows between round kWarm and round kRounds, as a share.
double growth(const std::function<void(int round)>& work) {
  const OneThread one_thread;
  double before = 0;
  for (int round = 0; round < kRounds; ++round) {
    if (round == kWarm) before = resident();
    work(round);
  }
  return kCounts ? resident() / before - 1 : 0;
}

nn::DataLoader loader() {
  std::vector<std::uint8_t> pixels(40 * 2 * 36), labels(40);
  Rng rng(2);
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(rng.below(256));
  for (std::uint8_t& label : labels) label = static_cast<std::uint8_t>(rng.below(4));
  return nn::DataLoader(
      {.dataset = std::make_shared<nn::InMemoryDataset>(Shape{2, 6, 6}, 4, pixels, labels),
       .transform = nn::compose({nn::random_crop(6, 1), nn::random_horizontal_flip()}),
       .batch_size = 8,
       .shuffle = true,
       .workers = 2},
      Rng(3));
}

}  // namespace

TEST_SUITE_BEGIN("soak");

TEST_CASE("a thousand training steps take no more memory than a hundred") {
  Graph graph = small_net();
  Executor executor(graph);
  nn::Sgd sgd(graph.parameters(), {.lr = 1e-3, .momentum = 0.9});
  nn::DataLoader data = loader();  // 5 steps each round, and the last batches are as all others
  CHECK(growth([&](int round) {
          if (round % 5 == 0) nn::train_one_epoch(executor, data, nn::cross_entropy, sgd);
        }) < 0.01);
}

TEST_CASE("a thousand steps of training quantized with learned ranges do not, either") {
  QuantizationSimModel sim(small_net(),
                           {.quant_scheme = QuantScheme::training_range_learning_with_tf_init});
  calibrate_small_net(sim);
  nn::Sgd sgd(sim.graph().parameters(), {.lr = 1e-4, .momentum = 0.9});
  nn::DataLoader data = loader();
  CHECK(growth([&](int round) {
          if (round % 5 == 0) nn::train_one_epoch(sim.executor(), data, nn::cross_entropy, sgd);
        }) < 0.01);
}

TEST_CASE("calibrating a thousand times takes no more memory than a hundred times") {
  for (const QuantScheme& scheme :
       {QuantScheme::post_training_tf_enhanced, QuantScheme::post_training_percentile}) {
    QuantizationSimModel sim(small_net(), {.quant_scheme = scheme});
    CHECK(growth([&](int) { calibrate_small_net(sim); }) < 0.01);
  }
}

TEST_CASE("changing a sim and batches of other sizes do not add up") {
  QuantizationSimModel sim(small_net());
  calibrate_small_net(sim);
  CHECK(growth([&](int round) {
          sim.quantizer("conv2.weight").set_bitwidth(4 + round % 4);
          sim.executor().forward(random_tensor({1 + round % 12, 2, 6, 6}, 1));
        }) < 0.01);
}

TEST_CASE("neither do sims that are made and thrown away, one after the other") {
  const Graph graph = small_net();
  CHECK(growth([&](int) {
          QuantizationSimModel sim(graph);
          calibrate_small_net(sim);
        }) < 0.01);
}

TEST_SUITE_END();
