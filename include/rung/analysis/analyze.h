#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/analysis/analysis.h"
#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/exec/executor.h"
#include "rung/nn/data.h"
#include "rung/quantsim/quantsim.h"

namespace rung::analysis {

/// What is analyzed on: batches of the network's inputs, with labels where there are any.
class RUNG_API Data {
 public:
  /// Gets one batch. `labels` may be empty.
  using Use =
      std::function<void(std::span<const Tensor> inputs, std::span<const std::int64_t> labels)>;

  /// The first batches of the loader's next epoch.
  Data(nn::DataLoader& loader,  // NOLINT: a loader is data
       std::int64_t num_batches = std::numeric_limits<std::int64_t>::max());
  /// Batches of the only input, in memory.
  Data(std::vector<Tensor> batches);  // NOLINT: batches are data
  /// What calls its argument for every batch.
  explicit Data(std::function<void(const Use&)> for_each) : for_each_(std::move(for_each)) {}

  void for_each(const Use& use) const { for_each_(use); }

 private:
  std::function<void(const Use&)> for_each_;
};

/// Runs a network on data of the user's and returns how good it is; larger is better.
using Evaluate = std::function<double(Executor& executor)>;

struct Options {
  /// What the sensitivities are measured by, between the float network's outputs and those of the
  /// quantized one: "sqnr" (dB), "mse", "cosine", or, for scores [N, C] in the first output, "kl"
  /// (mean Kullback-Leibler divergence of the classes, in nats), "agreement" (share of images with
  /// the same winner) and "top1" (share of images whose winner is the label).
  std::string metric = "sqnr";
  /// What the levels of the whole network are measured by, one of the same, where there is no
  /// callback.
  std::string level_metric = "sqnr";
  bool per_quantizer = false;  ///< sensitivities of single quantizers, too
  /// Sensitivities of groups of your own: name, and the quantizers' (QuantizerHandle::name).
  std::map<std::string, std::vector<std::string>> groups = {};
  bool measure_time = true;  ///< runs the first batch three times more
  /// Bytes for compiled ends of the network that are kept from batch to batch; those beyond are
  /// compiled anew for every batch. 0: a quarter of what is available.
  std::size_t memory = 0;
};

/// Returns what quantization does to the network, as the sim's quantizers are now; nothing is
/// calibrated, and the sim is left alone. The data pass once, batch by batch: in memory are the
/// activations of one batch, three times, and what Options::memory says. For every layer, quantizer
/// or group, only the part of the network behind it runs again: see Analysis::cost. Results do not
/// depend on the number of threads. Throws Error for an unknown metric or quantizer, an enabled
/// quantizer without a range, no data, and numbers that are NaN or infinite in the float network.
/// AIMET: QuantAnalyzer.
RUNG_API Analysis analyze(const QuantizationSimModel& sim, const Data& data,
                          const Evaluate& evaluate = {}, const Options& options = {});

/// Returns the names that Options::metric may be.
RUNG_API std::vector<std::string> metric_names();

}  // namespace rung::analysis
