#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "rung/core/error.h"
#include "rung/nn/data.h"

using namespace rung;

namespace {

// Image i is filled with the byte i and labelled i % 10, so that batches show their origin.
std::shared_ptr<const nn::Dataset> counting(std::int64_t count) {
  std::vector<std::uint8_t> pixels, labels;
  for (std::int64_t i = 0; i < count; ++i) {
    for (int p = 0; p < 2 * 6 * 6; ++p) pixels.push_back(static_cast<std::uint8_t>(i));
    labels.push_back(static_cast<std::uint8_t>(i % 10));
  }
  return std::make_shared<nn::InMemoryDataset>(Shape{2, 6, 6}, 10, pixels, labels);
}

/// Fails at one image, or takes its time for all; counts how many were asked for.
class Unreliable final : public nn::Dataset {
 public:
  std::int64_t bad = -1;
  std::chrono::milliseconds delay{0};
  mutable std::atomic<int> calls{0};

  std::int64_t size() const override { return 100; }
  Shape image_shape() const override { return {1, 1, 1}; }
  std::int64_t num_classes() const override { return 100; }
  std::int64_t get(std::int64_t index, nn::Image& image) const override {
    ++calls;
    std::this_thread::sleep_for(delay);
    if (index == bad) throw Error("image 37 is unreadable");
    image.resize(1, 1, 1);
    image.pixels[0] = static_cast<float>(index);
    return index;
  }
};

/// Cannot give images 3 to 8.
class Holes final : public nn::Dataset {
 public:
  std::int64_t size() const override { return 20; }
  Shape image_shape() const override { return {1, 0, 0}; }
  std::int64_t num_classes() const override { return 20; }
  std::int64_t get(std::int64_t index, nn::Image& image) const override {
    if (index >= 3 && index <= 8) throw Error(name(index) + " is damaged");
    image.resize(1, 1, 1);
    image.pixels[0] = static_cast<float>(index);
    return index;
  }
  std::string name(std::int64_t index) const override { return "hole " + std::to_string(index); }
  std::vector<std::string> class_names() const override { return {"solid"}; }
};

using Labels = std::vector<std::int64_t>;

// All that an epoch delivers, flattened.
struct Delivered {
  std::vector<float> pixels;
  Labels labels;
  std::vector<std::int64_t> sizes;
  friend bool operator==(const Delivered&, const Delivered&) = default;
};

template <typename Batches>
Delivered drain(Batches&& batches) {
  Delivered all;
  for (const nn::Batch& batch : batches) {
    CHECK(batch.images.size(0) == batch.size());
    all.pixels.insert(all.pixels.end(), batch.images.data().begin(), batch.images.data().end());
    all.labels.insert(all.labels.end(), batch.labels.begin(), batch.labels.end());
    all.sizes.push_back(batch.size());
  }
  return all;
}

nn::DataLoaderOptions augmented(int workers, int prefetch = 4) {
  return {.dataset = counting(103),
          .transform = nn::compose({nn::random_crop(6, 2), nn::random_horizontal_flip(),
                                    nn::normalize({0.5f, 0.25f}, {0.5f, 0.5f}),
                                    nn::random_erasing({.probability = 0.5})}),
          .batch_size = 8,
          .shuffle = true,
          .workers = workers,
          .prefetch = prefetch};
}

}  // namespace

TEST_SUITE_BEGIN("nn data");

TEST_CASE("a loader delivers every image once, in order, with a smaller last batch") {
  nn::DataLoader loader({.dataset = counting(10), .batch_size = 4});
  CHECK(loader.size() == 3);
  const Delivered all = drain(loader);
  CHECK(all.sizes == std::vector<std::int64_t>{4, 4, 2});
  CHECK(all.labels == Labels{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  for (std::size_t i = 0; i < 10; ++i)
    CHECK(all.pixels[i * 72 + 71] == static_cast<float>(i) / 255.0f);
  nn::DataLoader dropping({.dataset = counting(10), .batch_size = 4, .drop_last = true});
  CHECK(dropping.size() == 2);
  CHECK(drain(dropping).sizes == std::vector<std::int64_t>{4, 4});
}

TEST_CASE("what a loader delivers does not depend on workers or prefetching") {
  nn::DataLoader reference(augmented(0), Rng(11));
  const Delivered first = drain(reference), second = drain(reference);
  CHECK(first.labels.size() == 103);
  CHECK(first.pixels != second.pixels);  // another epoch, another order, other crops
  for (const int workers : {1, 2, 5}) {
    for (const int prefetch : {1, 3, 50}) {
      nn::DataLoader loader(augmented(workers, prefetch), Rng(11));
      CHECK(drain(loader) == first);
      CHECK(drain(loader) == second);
    }
  }
  nn::DataLoader other_seed(augmented(2), Rng(12));
  CHECK(drain(other_seed).labels != first.labels);
}

TEST_CASE("shuffling draws a permutation") {
  nn::DataLoader loader({.dataset = counting(200), .batch_size = 7, .shuffle = true}, Rng(3));
  std::vector<float> firsts;
  for (const nn::Batch& batch : loader)
    for (std::int64_t i = 0; i < batch.size(); ++i)
      firsts.push_back(batch.images.data()[static_cast<std::size_t>(i) * 72] * 255.0f);
  CHECK_FALSE(std::ranges::is_sorted(firsts));
  std::ranges::sort(firsts);
  for (std::size_t i = 0; i < 200; ++i) CHECK(firsts[i] == doctest::Approx(i));
}

TEST_CASE("a batch that is kept is not overwritten by later ones") {
  nn::DataLoader loader({.dataset = counting(40), .batch_size = 4, .prefetch = 2});
  std::vector<nn::Batch> kept;
  for (const nn::Batch& batch : loader) kept.push_back(batch);
  for (std::size_t b = 0; b < kept.size(); ++b)
    CHECK(kept[b].images.data()[0] == static_cast<float>(4 * b) / 255.0f);
}

TEST_CASE("an iteration that is left early stops the workers, and the next epoch follows") {
  for (const int workers : {0, 1, 3}) {
    nn::DataLoader whole(augmented(workers), Rng(4)), left(augmented(workers), Rng(4));
    drain(whole);
    for (const nn::Batch& batch : left)
      if (batch.size() == 8) break;
    CHECK(left.state().epoch == 1);
    CHECK(left.state().batch == 0);
    CHECK(drain(left) == drain(whole));
  }
  auto slow = std::make_shared<Unreliable>();
  slow->delay = std::chrono::milliseconds(1);
  {
    nn::DataLoader loader({.dataset = slow, .batch_size = 2, .workers = 2, .prefetch = 3});
    for (const nn::Batch& batch : loader) {
      CHECK(batch.size() == 2);
      break;
    }
    const int calls = slow->calls;
    CHECK(calls <= 2 * (1 + 3 + 2));  // one taken, three ahead, at most
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(slow->calls == calls);  // nobody works any more
  }
}

TEST_CASE("workers wait for the consumer instead of running ahead") {
  auto dataset = std::make_shared<Unreliable>();
  nn::DataLoader loader({.dataset = dataset, .batch_size = 1, .workers = 4, .prefetch = 5});
  int taken = 0;
  for (const nn::Batch& batch : loader) {
    CHECK(batch.labels[0] == taken);
    ++taken;
    if (taken < 5) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(dataset->calls <= taken + 5);
  }
  CHECK(taken == 100);
}

TEST_CASE("what a worker throws surfaces at the batch that it belongs to") {
  auto dataset = std::make_shared<Unreliable>();
  dataset->bad = 37;
  for (const int workers : {0, 1, 2, 5}) {
    nn::DataLoader loader({.dataset = dataset, .batch_size = 5, .workers = workers});
    int batches = 0;
    const auto run = [&] {
      for (const nn::Batch& batch : loader) {
        CHECK(batch.size() == 5);
        ++batches;
      }
    };
    CHECK_THROWS_WITH_AS(run(), "image 37 is unreadable", Error);
    CHECK(batches == 7);
  }
}

TEST_CASE("a loader continues in the middle of an epoch") {
  nn::DataLoader loader(augmented(2), Rng(5));
  drain(loader);
  nn::DataLoaderState state;
  Delivered rest;
  std::int64_t batches = 0;
  for (const nn::Batch& batch : loader) {
    if (++batches == 6) state = loader.state();
    if (batches <= 6) continue;
    rest.pixels.insert(rest.pixels.end(), batch.images.data().begin(), batch.images.data().end());
    rest.labels.insert(rest.labels.end(), batch.labels.begin(), batch.labels.end());
    rest.sizes.push_back(batch.size());
  }
  CHECK(state.epoch == 1);
  CHECK(state.batch == 6);
  const Delivered next = drain(loader);

  nn::DataLoader resumed(augmented(1), Rng(99));
  resumed.load_state(state);
  CHECK(drain(resumed) == rest);
  CHECK(resumed.state().epoch == 2);
  CHECK(drain(resumed) == next);
  CHECK_THROWS_AS(resumed.load_state({.seed = 0, .epoch = 0, .batch = 13}), Error);
  CHECK_THROWS_AS(resumed.load_state({.seed = 0, .epoch = -1, .batch = 0}), Error);
}

TEST_CASE("the state within the last batch is the start of the next epoch") {
  nn::DataLoader loader({.dataset = counting(4), .batch_size = 2});
  nn::DataLoaderState state;
  for (const nn::Batch& batch : loader)
    if (batch.labels[0] == 2) state = loader.state();
  CHECK(state.epoch == 1);
  CHECK(state.batch == 0);
}

TEST_CASE("take delivers the first batches of an epoch") {
  nn::DataLoader whole(augmented(2), Rng(6)), part(augmented(2), Rng(6));
  Delivered first = drain(whole);
  const Delivered taken = drain(part.take(3));
  CHECK(taken.sizes == std::vector<std::int64_t>{8, 8, 8});
  first.labels.resize(24);
  CHECK(taken.labels == first.labels);
  CHECK(drain(part) == drain(whole));  // both in epoch 1 now
  CHECK(drain(part.take(0)).sizes.empty());
  CHECK(drain(part.take(1000)).sizes.size() == 13);
  CHECK_THROWS_AS(part.take(-1), Error);
  CHECK(drain(nn::DataLoader({.dataset = counting(9), .batch_size = 2}).take(2)).labels ==
        Labels{0, 1, 2, 3});
}

TEST_CASE("a second loop inside a loop is the next epoch and leaves the first alone") {
  nn::DataLoader loader({.dataset = counting(6), .batch_size = 2});
  Labels outer;
  for (const nn::Batch& batch : loader) {
    outer.push_back(batch.labels[0]);
    if (outer.size() == 1) CHECK(drain(loader).labels == Labels{0, 1, 2, 3, 4, 5});
  }
  CHECK(outer == Labels{0, 2, 4});
  CHECK(loader.state().epoch == 2);
}

TEST_CASE("images of one batch must have one shape, batches may differ") {
  const auto odd_out = [](std::int64_t index) {
    return [index](nn::Image& image, Rng&) {
      if (static_cast<std::int64_t>(image.pixels[0] * 255.0f + 0.5f) == index)
        image.resize(2, 3, 3);
    };
  };
  nn::DataLoader mixed({.dataset = counting(4), .transform = odd_out(1), .batch_size = 2});
  CHECK_THROWS_WITH_AS(drain(mixed),
                       "DataLoader: image 1 came out as 2x3x3, but its batch is [2, 2, 6, 6]: add "
                       "a crop or resize to the transform",
                       Error);
  nn::DataLoader single({.dataset = counting(4), .transform = odd_out(1), .batch_size = 1});
  CHECK(drain(single).pixels.size() == 3 * 72 + 18);
  nn::DataLoader broken(
      {.dataset = counting(4), .transform = [](nn::Image& image, Rng&) { image.width = 5; }});
  CHECK_THROWS_AS(drain(broken), Error);
}

TEST_CASE("subset and take select images") {
  const auto some = nn::subset(counting(10), {7, 2, 7});
  CHECK(some->size() == 3);
  nn::DataLoader loader({.dataset = some, .batch_size = 3});
  CHECK(drain(loader).labels == Labels{7, 2, 7});
  CHECK(nn::take(counting(10), 4)->size() == 4);
  CHECK(nn::take(counting(10), 40)->size() == 10);
  CHECK_THROWS_AS(nn::subset(counting(10), {10}), Error);
  CHECK_THROWS_AS(nn::take(counting(10), -1), Error);
  CHECK_THROWS_AS(nn::take(nullptr, 1), Error);
}

TEST_CASE("an empty dataset has no batches") {
  for (const int workers : {0, 2}) {
    nn::DataLoader loader({.dataset = counting(0), .batch_size = 2, .workers = workers});
    CHECK(loader.size() == 0);
    CHECK(drain(loader).sizes.empty());
  }
}

TEST_CASE("loaders and datasets refuse numbers that make no sense") {
  CHECK_THROWS_AS(nn::DataLoader({}), Error);
  CHECK_THROWS_AS(nn::DataLoader({.dataset = counting(2), .batch_size = 0}), Error);
  CHECK_THROWS_AS(nn::DataLoader({.dataset = counting(2), .workers = -1}), Error);
  CHECK_THROWS_AS(nn::InMemoryDataset({1, 2, 2}, 10, {1, 2, 3}, {0}), Error);
  CHECK_THROWS_AS(nn::InMemoryDataset({1, 1, 1}, 10, {1}, {10}), Error);
  CHECK_THROWS_AS(nn::InMemoryDataset({4}, 10, {1, 2, 3, 4}, {0}), Error);
  nn::Image image;
  CHECK_THROWS_AS(counting(3)->get(3, image), Error);
}

TEST_CASE("images that cannot be read are left out of their batches, whatever the workers") {
  const auto dataset = std::make_shared<Holes>();
  for (const bool shuffle : {false, true}) {
    Delivered reference;
    for (const int workers : {0, 1, 3}) {
      nn::DataLoader loader({.dataset = dataset,
                             .batch_size = 4,
                             .shuffle = shuffle,
                             .workers = workers,
                             .on_error = nn::OnError::skip},
                            Rng(9));
      const Delivered all = drain(loader);
      CHECK(all.labels.size() == 14);
      if (workers == 0) reference = all;
      CHECK(all == reference);
      REQUIRE(loader.skipped().size() == 6);
      CHECK(loader.skipped()[0].index == 3);
      CHECK(loader.skipped()[5].reason == "hole 8 is damaged");
      drain(loader);  // another epoch does not count them again
      CHECK(loader.skipped().size() == 6);
    }
    // Images 4 to 7 are a batch of their own that does not appear.
    if (!shuffle) CHECK(reference.sizes == std::vector<std::int64_t>{3, 3, 4, 4});
  }
}

TEST_CASE("the first image that cannot be read ends the loop unless told otherwise") {
  nn::DataLoader loader({.dataset = std::make_shared<Holes>(), .batch_size = 4});
  CHECK_THROWS_WITH_AS(drain(loader), "hole 3 is damaged", Error);
  CHECK(loader.skipped().empty());
}

TEST_CASE("only images that are delivered count as skipped") {
  nn::DataLoader loader({.dataset = std::make_shared<Holes>(),
                         .batch_size = 4,
                         .prefetch = 9,
                         .on_error = nn::OnError::skip});
  for (const nn::Batch& batch : loader.take(1)) {
    CHECK(batch.images.shape() == Shape{3, 1, 1, 1});
    REQUIRE(batch.skipped.size() == 1);
  }
  CHECK(loader.skipped().size() == 1);
}

TEST_CASE("a subset forwards the names of images and classes") {
  const auto some = nn::subset(std::make_shared<Holes>(), {5, 2});
  CHECK(some->name(0) == "hole 5");
  CHECK(some->class_names() == std::vector<std::string>{"solid"});
  CHECK(counting(3)->name(2) == "image 2");
  CHECK(counting(3)->class_names().empty());
}

TEST_SUITE_END();
