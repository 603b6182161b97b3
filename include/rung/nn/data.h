#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/held.h"
#include "rung/core/rng.h"
#include "rung/core/shape.h"
#include "rung/core/tensor.h"
#include "rung/nn/transforms.h"

namespace rung::nn {

/// Labelled images. torch.utils.data.Dataset. Derive from it for data of your own.
class RUNG_API Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::int64_t size() const = 0;         ///< number of images
  virtual Shape image_shape() const = 0;         ///< [C, H, W]; H = W = 0: images differ in size
  virtual std::int64_t num_classes() const = 0;  ///< labels are in [0, num_classes)
  /// Sets extents and pixels of `image`, values in [0, 1], to those of image `index` and returns
  /// its label. `image` comes with the memory of an earlier one, to be used again. Called from
  /// several threads at once; what it throws surfaces where the batch is consumed, except for
  /// Errors where DataLoaderOptions::on_error says otherwise.
  virtual std::int64_t get(std::int64_t index, Image& image) const = 0;
  /// Returns the label of image `index` without the image, where that is less work than get().
  virtual std::int64_t label(std::int64_t index) const;
  /// Returns what messages call image `index`: its file, if it has one.
  virtual std::string name(std::int64_t index) const;
  /// Returns the shape of an image's target, for losses that compare with more than a label; rank
  /// 0: there are no targets.
  virtual Shape target_shape() const { return {}; }
  /// Fills in the target of image `index`, as many numbers as its shape has. What a Transform does
  /// to the image it does not do to the target. Called as get() is.
  virtual void target(std::int64_t index, std::span<float> target) const;
  /// Returns the names of the classes by label, or nothing where they have none.
  virtual std::vector<std::string> class_names() const { return {}; }
};

/// Images held in memory, one byte per value (get() divides by 255, as torchvision's ToTensor).
class RUNG_API InMemoryDataset final : public Dataset {
 public:
  /// `pixels` is [N, C, H, W] for N labels; throws Error if the sizes do not fit or a label is not
  /// in [0, num_classes).
  InMemoryDataset(Shape image_shape, std::int64_t num_classes, std::vector<std::uint8_t> pixels,
                  std::vector<std::uint8_t> labels);
  std::int64_t size() const override;
  Shape image_shape() const override { return image_shape_; }
  std::int64_t num_classes() const override { return num_classes_; }
  std::int64_t get(std::int64_t index, Image& image) const override;
  std::int64_t label(std::int64_t index) const override;

 private:
  Shape image_shape_;
  std::int64_t num_classes_;
  std::vector<std::uint8_t> pixels_, labels_;
};

/// Selects images by index. torch.utils.data.Subset. Throws Error if an index is outside.
RUNG_API std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> dataset,
                                               std::vector<std::int64_t> indices);
/// Selects the first `count` images, or all if there are fewer.
RUNG_API std::shared_ptr<const Dataset> take(std::shared_ptr<const Dataset> dataset,
                                             std::int64_t count);

/// What a loader does when a dataset cannot give an image, because its file is damaged, say.
enum class OnError {
  raise,  ///< the Error ends the loop
  skip,   ///< the image is left out: its batch is smaller, a batch without any does not appear
};

/// An image that was left out.
struct SkippedImage {
  std::int64_t index = 0;  ///< in the dataset
  std::string reason;      ///< the dataset's message
};

/// Some images with their labels. The tensor is the batch's own: it may be kept.
struct Batch {
  Tensor images;                      ///< [N, C, H, W]
  std::vector<std::int64_t> labels;   ///< N
  std::vector<SkippedImage> skipped;  ///< images that would have been part of it
  std::vector<std::int64_t> indices;  ///< N: which images of the dataset they are
  Tensor targets;                     ///< [N, ...]; undefined if the dataset has none
  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
};

struct DataLoaderOptions {
  std::shared_ptr<const Dataset> dataset = {};
  Transform transform = {};  ///< empty: pixels as the dataset gives them
  std::int64_t batch_size = 1;
  bool shuffle = false;    ///< draw a new order for every epoch
  bool drop_last = false;  ///< leave out a last batch that is smaller
  int workers = 2;         ///< threads that prepare batches; 0: the consumer does it itself
  int prefetch = 4;        ///< batches prepared ahead, at most
  OnError on_error = OnError::raise;
};

/// Where a loader stands: the next batch to deliver.
struct DataLoaderState {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;  ///< from 0
  std::int64_t batch = 0;  ///< within the epoch
};

/// Delivers a dataset in batches, prepared by threads ahead of time. What it delivers depends on
/// the Rng, the epoch and the options, never on the number of workers. torch.utils.data.DataLoader.
///
///   for (const Batch& batch : loader) ...   // one epoch, whose number is counted
///
/// Leaving the loop early ends the epoch: the next loop runs the next one. Belongs to one thread;
/// starting a second loop inside a loop ends the epoch of the first in the same way.
class RUNG_API DataLoader {
 public:
  class Iterator;
  class Range;

  /// Throws Error if there is no dataset or a number makes no sense.
  explicit DataLoader(DataLoaderOptions options, Rng rng = Rng(0));
  ~DataLoader();
  DataLoader(DataLoader&&) noexcept;
  DataLoader& operator=(DataLoader&&) noexcept;
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  std::int64_t size() const;  ///< batches per epoch
  const Dataset& dataset() const;
  const DataLoaderOptions& options() const;
  /// Returns the images that were skipped in all loops so far, each once, in the order of the
  /// dataset. Prepared batches count when they are delivered.
  std::vector<SkippedImage> skipped() const;

  Iterator begin();
  std::default_sentinel_t end() const { return {}; }
  /// Iterates over the first `batches` of the next epoch only (all if there are fewer).
  Range take(std::int64_t batches);

  /// Returns where the next batch comes from; inside a loop, the one after the current.
  DataLoaderState state() const;
  /// Makes the next loop start there: the rest of that epoch. Throws Error if it has no such batch.
  void load_state(const DataLoaderState& state);

 private:
  struct Impl;
  Held<std::shared_ptr<Impl>> impl_;  // shared with iterators only
};

/// Runs over batches; ends its worker threads when it is destroyed.
class RUNG_API DataLoader::Iterator {
 public:
  using value_type = Batch;
  using difference_type = std::ptrdiff_t;

  ~Iterator();
  Iterator(Iterator&&) noexcept;
  const Batch& operator*() const { return batch_; }
  const Batch* operator->() const { return &batch_; }
  Iterator& operator++();
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return done_; }

 private:
  friend class DataLoader;
  struct Run;
  Iterator(std::shared_ptr<Impl> loader, std::int64_t limit);
  void advance();

  Held<std::shared_ptr<Impl>> loader_;
  std::unique_ptr<Run> run_;
  Batch batch_;
  bool done_ = false;
};

/// What take() returns.
class RUNG_API DataLoader::Range {
 public:
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

 private:
  friend class DataLoader;
  Range(std::shared_ptr<Impl> loader, std::int64_t limit)
      : loader_(std::move(loader)), limit_(limit) {}
  Held<std::shared_ptr<Impl>> loader_;
  std::int64_t limit_;
};

}  // namespace rung::nn
