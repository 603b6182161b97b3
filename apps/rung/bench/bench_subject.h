#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "run/config_choice.h"
#include "run/options.h"
#include "rung/exec/executor.h"
#include "rung/nn/optim.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {

struct BenchOptions {
  std::string mode;
  ConfigOptions config = {.scheme = "tf"};
  std::string model = {};  ///< one of rung's; empty: resnet20, or what the file holds
  std::string file = {};   ///< *.rung or *.onnx
  ConvOptions conv;
  std::int64_t batch = 128, steps = 9;
  /// Height and width, channels, logits. Not to be given with a file, which knows them.
  std::optional<std::int64_t> size = {}, channels = {}, classes = {};
  int param_bw = 8, output_bw = 8;
  bool fold_bn = false;  ///< before quantizing or inference
  bool alone = false;    ///< do not time the float step beside qat
  bool profile = false;
  std::uint64_t seed = 0;
};

/// The network that is timed.
class BenchNetwork {
 public:
  /// Throws UsageError if a model and a file were asked for, Error if the file does not hold a
  /// network of float numbers that makes logits of images.
  explicit BenchNetwork(const BenchOptions& options);
  const std::string& name() const { return name_; }
  const Shape& image() const { return image_; }  ///< [C, H, W]
  std::int64_t classes() const { return classes_; }
  /// Builds or reads it anew: no copy is kept, which peak memory would count.
  Graph graph() const;

 private:
  std::string name_;
  bool is_file_;
  Shape image_;
  std::int64_t classes_ = 0;
  std::uint64_t seed_;
};

/// Random images and labels, the same for everything that is compared.
struct BenchData {
  BenchData(const BenchNetwork& network, const BenchOptions& options);
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
BenchPair make_bench(const BenchNetwork& network, const BenchOptions& options,
                     const BenchData& data);

}  // namespace rung::cli
