#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "rung/nn/data.h"

namespace rung::nn {

/// Makes any batch of one epoch, in any order and from several threads: batch i is a pure function
/// of (seed, epoch, i), which is why the number of workers cannot matter.
class BatchMaker {
 public:
  BatchMaker(const DataLoaderOptions& options, const Rng& rng, std::int64_t epoch);
  /// Fills a batch; `image` is scratch memory of the calling thread. Returns early, with the batch
  /// unfinished, when a stop is requested. The batch is empty if all of its images were skipped.
  Batch make(std::int64_t index, Image& image, const std::stop_token& stop) const;

 private:
  bool load(std::int64_t sample, Image& image, Batch& batch) const;

  const DataLoaderOptions& options_;
  Rng sample_rng_;
  std::vector<std::int64_t> order_;  // of the samples
};

/// Returns how many batches an epoch has.
std::int64_t batches_per_epoch(const DataLoaderOptions& options);

}  // namespace rung::nn
