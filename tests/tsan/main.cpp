// What the threads of the data loader do, for ThreadSanitizer: epochs that end, that are left in
// the middle, whose images fail, and loaders that are used at the same time.

#include <atomic>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "rung/core/error.h"
#include "rung/nn/data.h"

using namespace rung;

namespace {

constexpr std::int64_t kImages = 203;

/// Images of noise, some of which cannot be had.
class Noise final : public nn::Dataset {
 public:
  explicit Noise(std::int64_t broken) : broken_(broken) {}
  std::int64_t size() const override { return kImages; }
  Shape image_shape() const override { return {3, 12, 12}; }
  std::int64_t num_classes() const override { return 5; }
  std::int64_t get(std::int64_t index, nn::Image& image) const override {
    if (broken_ > 0 && index % broken_ == 1) throw Error("image " + std::to_string(index));
    Rng rng(static_cast<std::uint64_t>(index));
    image.channels = 3, image.height = 12, image.width = 12;
    image.pixels.resize(3 * 12 * 12);
    for (float& pixel : image.pixels) pixel = static_cast<float>(rng.uniform());
    return index % 5;
  }

 private:
  std::int64_t broken_;
};

nn::DataLoader loader(int workers, std::int64_t broken = 0,
                      nn::OnError on_error = nn::OnError::skip) {
  return nn::DataLoader(
      {.dataset = std::make_shared<Noise>(broken),
       .transform = nn::compose({nn::random_crop(12, 2), nn::random_horizontal_flip(),
                                 nn::normalize({0.5f, 0.5f, 0.5f}, {0.2f, 0.2f, 0.2f})}),
       .batch_size = 8,
       .shuffle = true,
       .workers = workers,
       .on_error = on_error},
      Rng(1));
}

double sum_of(const nn::Batch& batch) {
  double sum = 0;
  for (const float x : batch.images.data()) sum += x;
  return sum;
}

double epochs(nn::DataLoader data, int count) {
  double sum = 0;
  for (int epoch = 0; epoch < count; ++epoch)
    for (const nn::Batch& batch : data) sum += sum_of(batch);
  return sum;
}

void expect(bool right, const char* what) {
  if (!right) throw std::runtime_error(what);
}

void run() {
  const double alone = epochs(loader(0), 2);
  for (const int workers : {1, 2, 7, 40})
    expect(epochs(loader(workers), 2) == alone, "the number of workers matters");

  nn::DataLoader left = loader(4);
  for (int round = 0; round < 20; ++round) {
    int batches = 0;
    for (const nn::Batch& batch : left.take(10))
      if (sum_of(batch) > 0 && ++batches > round % 5) break;
  }

  nn::DataLoader skipping = loader(4, 7);
  for (const nn::Batch& batch : skipping) sum_of(batch);
  expect(skipping.skipped().size() == 29, "not all damaged images were skipped");

  int raised = 0;
  nn::DataLoader raising = loader(4, 50, nn::OnError::raise);
  for (int round = 0; round < 10; ++round) try {
      for (const nn::Batch& batch : raising) sum_of(batch);
    } catch (const Error&) {
      ++raised;
    }
  expect(raised == 10, "a damaged image did not end the loop");

  std::atomic<int> equal = 0;
  {
    std::vector<std::jthread> users;
    for (int i = 0; i < 4; ++i)
      users.emplace_back([&] { equal += epochs(loader(3), 2) == alone ? 1 : 0; });
  }
  expect(equal == 4, "loaders in several threads disturb each other");
}

}  // namespace

int main() try {
  run();
  std::puts("the data loader's threads: no data race");
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
