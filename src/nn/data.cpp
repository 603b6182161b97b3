#include "rung/nn/data.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include "core/check.h"
#include "nn/batch_maker.h"

namespace rung::nn {
namespace {

/// A bounded queue with several producers: worker threads take the next batch number, make that
/// batch and put it into the ring; the consumer takes batches strictly in order.
class Prefetcher {
 public:
  Prefetcher(const BatchMaker& maker, std::int64_t begin, std::int64_t end, int workers,
             int prefetch)
      : maker_(maker),
        end_(end),
        next_to_make_(begin),
        next_to_take_(begin),
        ring_(static_cast<std::size_t>(prefetch)) {
    try {
      for (int i = 0; i < workers; ++i)
        workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    } catch (const std::system_error& error) {
      for (std::jthread& worker : workers_) worker.request_stop();
      fail("DataLoader: cannot start {} workers: {}; use fewer", workers, error.code().message());
    }
  }

  // All are asked to stop before the first is joined (by the members' destructors).
  ~Prefetcher() {
    for (std::jthread& worker : workers_) worker.request_stop();
  }

  /// Returns the next batch, or throws what making it threw.
  Batch take() {
    Slot slot;
    {
      std::unique_lock lock(mutex_);
      Slot& place = slot_of(next_to_take_);
      filled_.wait(lock, [&] { return place.filled; });
      slot = std::exchange(place, Slot{});
      ++next_to_take_;
    }
    emptied_.notify_one();
    if (slot.error) std::rethrow_exception(slot.error);
    return std::move(slot.batch);
  }

 private:
  struct Slot {
    Batch batch;
    std::exception_ptr error;
    bool filled = false;
  };

  Slot& slot_of(std::int64_t index) {
    return ring_[static_cast<std::size_t>(index) % ring_.size()];
  }

  void work(const std::stop_token& stop) {
    Image image;
    std::unique_lock lock(mutex_);
    while (true) {
      const auto ready = [this] {
        return next_to_make_ == end_ ||
               next_to_make_ < next_to_take_ + static_cast<std::int64_t>(ring_.size());
      };
      if (!emptied_.wait(lock, stop, ready) || next_to_make_ == end_ || stop.stop_requested())
        return;
      const std::int64_t index = next_to_make_++;
      lock.unlock();
      Slot made{{}, nullptr, true};
      try {
        made.batch = maker_.make(index, image, stop);
      } catch (...) {
        made.error = std::current_exception();
      }
      lock.lock();
      slot_of(index) = std::move(made);
      filled_.notify_one();
      // Whoever made the last batch wakes the others, which may wait for room that never comes.
      if (next_to_make_ == end_) emptied_.notify_all();
    }
  }

  const BatchMaker& maker_;
  const std::int64_t end_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::condition_variable_any emptied_;
  std::int64_t next_to_make_, next_to_take_;
  std::vector<Slot> ring_;
  std::vector<std::jthread> workers_;  // last: joined before what they use is destroyed
};

}  // namespace

struct DataLoader::Impl {
  static constexpr std::string_view kOwner = "DataLoader";

  DataLoaderOptions options;
  Rng rng;
  std::int64_t size = 0;
  std::int64_t epoch = 0;
  std::int64_t batch = 0;  // the next one to deliver
  std::uint64_t runs = 0;  // loops started; only the last one may move the position
  bool running = false;
  std::map<std::int64_t, std::string> skipped;  // reasons by index

  void end_epoch() {
    ++epoch;
    batch = 0;
    running = false;
  }
};

struct DataLoader::Iterator::Run {
  Run(const Impl& loader, std::int64_t limit)
      : maker(loader.options, loader.rng, loader.epoch),
        number(loader.runs),
        next(loader.batch),
        end(loader.batch + std::min(limit, loader.size - loader.batch)) {
    const auto workers =
        static_cast<int>(std::min<std::int64_t>(loader.options.workers, end - next));
    if (workers > 0)
      prefetcher.emplace(maker, next, end, workers, std::max(1, loader.options.prefetch));
  }

  Batch take() {
    const std::int64_t index = next++;
    return prefetcher ? prefetcher->take() : maker.make(index, image, {});
  }

  const BatchMaker maker;
  const std::uint64_t number;
  std::int64_t next;
  const std::int64_t end;
  Image image;
  std::optional<Prefetcher> prefetcher;
};

DataLoader::DataLoader(DataLoaderOptions options, Rng rng) : impl_(std::make_shared<Impl>()) {
  require(options.dataset != nullptr, "DataLoader: there is no dataset");
  require(options.batch_size > 0, "DataLoader: batch_size must be positive, got {}",
          options.batch_size);
  require(options.workers >= 0 && options.workers <= 1024,
          "DataLoader: workers must be in [0, 1024], got {}", options.workers);
  require(options.prefetch >= 0 && options.prefetch <= 1 << 20,
          "DataLoader: prefetch must be in [0, {}], got {}", 1 << 20, options.prefetch);
  impl_->options = std::move(options);
  impl_->rng = rng;
  impl_->size = batches_per_epoch(impl_->options);
}

DataLoader::~DataLoader() = default;
DataLoader::DataLoader(DataLoader&&) noexcept = default;
DataLoader& DataLoader::operator=(DataLoader&&) noexcept = default;

std::int64_t DataLoader::size() const { return impl_->size; }
const Dataset& DataLoader::dataset() const { return *impl_->options.dataset; }
const DataLoaderOptions& DataLoader::options() const { return impl_->options; }

std::vector<SkippedImage> DataLoader::skipped() const {
  std::vector<SkippedImage> images;
  for (const auto& [index, reason] : impl_->skipped) images.push_back({index, reason});
  return images;
}

DataLoader::Iterator DataLoader::begin() { return Iterator(impl_, impl_->size); }

DataLoader::Range DataLoader::take(std::int64_t batches) {
  require(batches >= 0, "DataLoader::take: the number of batches must not be negative, got {}",
          batches);
  return Range(impl_, batches);
}

DataLoader::Iterator DataLoader::Range::begin() { return Iterator(loader_, limit_); }

DataLoaderState DataLoader::state() const {
  const bool finished = impl_->batch == impl_->size && impl_->batch > 0;
  return {impl_->rng.state(), impl_->epoch + (finished ? 1 : 0), finished ? 0 : impl_->batch};
}

void DataLoader::load_state(const DataLoaderState& state) {
  require(state.epoch >= 0 && state.batch >= 0 && state.batch < std::max<std::int64_t>(size(), 1),
          "DataLoader: cannot continue at batch {} of epoch {}: an epoch has {} batches",
          state.batch, state.epoch, size());
  impl_->rng.set_state(state.seed);
  impl_->epoch = state.epoch;
  impl_->batch = state.batch;
  impl_->running = false;
  ++impl_->runs;  // a loop that is under way no longer counts
}

DataLoader::Iterator::Iterator(std::shared_ptr<Impl> loader, std::int64_t limit)
    : loader_(std::move(loader)) {
  if (loader_->running) loader_->end_epoch();
  ++loader_->runs;
  run_ = std::make_unique<Run>(*loader_, limit);
  advance();
}

DataLoader::Iterator::~Iterator() {
  if (run_ != nullptr && loader_->running && run_->number == loader_->runs) loader_->end_epoch();
}

// One that was moved from is at its end.
DataLoader::Iterator::Iterator(Iterator&& other) noexcept
    : loader_(std::move(other.loader_)),
      run_(std::move(other.run_)),
      batch_(std::move(other.batch_)),
      done_(std::exchange(other.done_, true)) {}

DataLoader::Iterator& DataLoader::Iterator::operator++() {
  advance();
  return *this;
}

void DataLoader::Iterator::advance() {
  batch_ = {};  // frees its memory for the batches being made, unless the user kept it
  do {          // batches whose images were all skipped are passed over
    done_ = run_ == nullptr || run_->next == run_->end;
    if (done_) return;
    batch_ = run_->take();
    for (const SkippedImage& image : batch_.skipped)
      loader_->skipped.try_emplace(image.index, image.reason);
  } while (batch_.size() == 0);
  if (run_->number != loader_->runs) return;
  loader_->running = true;
  loader_->batch = run_->next;
}

}  // namespace rung::nn
