#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "file.h"
#include "mutators.h"
#include "rung/nn/training_state.h"
#include "rung/ops/layers.h"

using namespace rung;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return fuzz::mutate_json(data, size, max_size, seed);
}

namespace {

constexpr std::uint8_t kImages = 8;

struct Training {
  Graph graph;
  nn::DataLoader loader{{.dataset = std::make_shared<nn::InMemoryDataset>(
                             Shape{1, 1, 2}, 2, std::vector<std::uint8_t>(2 * kImages),
                             std::vector<std::uint8_t>(kImages)),
                         .batch_size = 2,
                         .workers = 0}};
  std::unique_ptr<Executor> executor;
  std::unique_ptr<nn::Optimizer> optimizer;

  Training() {
    const Var x = graph.input("x", {1, 2});
    graph.set_outputs({nn::linear(x, {.out_features = 2}, "fc")});
    executor = std::make_unique<Executor>(graph);
    optimizer = std::make_unique<nn::Adam>(graph.parameters(), nn::AdamOptions{.lr = 0.1});
  }

  std::string state() const {
    io::ModelExtras extras;
    nn::add_training_state(extras, nn::training_state(*executor, loader, *optimizer));
    return extras.sections.at("training");
  }
};

}  // namespace

/// Takes the state of a training from a section of a checkpoint; on Error it must be as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Training training;
  io::ModelFile file;
  file.sections["training"].assign(reinterpret_cast<const char*>(data), size);
  const std::string before = training.state();
  try {
    nn::load_training_state(nn::training_state_of(file, "x.rung"), *training.executor,
                            training.loader, *training.optimizer);
  } catch (const Error&) {
    if (training.state() != before) std::abort();
  }
  return 0;
}
