#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "options.h"
#include "rung/exec/executor.h"
#include "rung/nn/optim.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {

struct BenchOptions {
  std::string mode, model = "resnet20", scheme = "tf", config = "per_channel";
  ConvOptions conv;
  std::int64_t batch = 128, size = 32, channels = 3, classes = 10, steps = 9;
  int param_bw = 8, output_bw = 8;
  bool fold_bn = false;  ///< before quantizing or inference
  bool alone = false;    ///< do not time the float step beside qat
  bool profile = false;
  std::uint64_t seed = 0;
};

/// Returns the float network.
Graph bench_graph(const BenchOptions& options);

/// Random images and labels, the same for everything that is compared.
struct BenchData {
  explicit BenchData(const BenchOptions& options);
  Tensor images;
  std::vector<std::int64_t> labels;
};

/// What is timed: one call of step() is one step.
class BenchSubject {
 public:
  virtual ~BenchSubject() = default;
  virtual void step() = 0;
  /// How many batches a step goes through: its time is divided by them.
  virtual std::int64_t batches() const { return 1; }
  /// The executor whose plan is reported.
  virtual Executor& executor() = 0;
};

/// What a mode compares: the subject, and what runs in turn with it, if anything does.
struct BenchPair {
  std::unique_ptr<BenchSubject> subject, beside;
  std::string beside_name;  ///< as in "float": the figure is "float_median_s"
};

/// Throws UsageError for an unknown mode.
BenchPair make_bench(const BenchOptions& options, const BenchData& data);

}  // namespace rung::cli
