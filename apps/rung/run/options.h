#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "console/command.h"
#include "console/console.h"
#include "run/normalize.h"
#include "run/validation.h"
#include "rung/exec/executor.h"
#include "rung/ops/tuning.h"

namespace rung::cli {

/// What every command that computes takes.
struct RunOptions {
  std::uint64_t seed = 0;
  int threads = 0;  ///< 0: one per processor
  int workers = 2;
  std::string json;

  template <typename V>
  void visit(V& v) {
    v.group("Computing");
    v.option("--seed N", seed, "of every random draw; same seed, same result", {}, affects_result);
    v.option("--threads N", threads, "computing threads, 0 = one per processor", between(0, 4096));
    v.option("--workers N", workers, "threads that prepare images; results do not depend on it",
             between(0, 256));
    v.group("Output");
    v.option("--json FILE", json, "write the figures as JSON, - = standard output");
  }
};

/// How convolutions compute.
struct ConvOptions {
  std::string algorithm = "auto";
  bool autotune = false;

  template <typename V>
  void visit(V& v) {
    v.group("Computing");
    v.option("--conv-algorithm NAME", algorithm,
             "auto: the fastest by fixed rules; direct; winograd: wherever it is possible", {},
             affects_result);
  }
  /// Of commands that train.
  template <typename V>
  void visit_with_autotune(V& v) {
    visit(v);
    v.flag("--autotune", autotune,
           "auto: measure which algorithm is faster, and remember it in the model file");
  }
};
/// Makes an executor follow the options. With --autotune, or if `stored` has choices that a file
/// brought along, choices are returned that the executor goes on to fill; else nullptr.
std::shared_ptr<ConvChoices> apply(const ConvOptions& options, const ConvChoices& stored,
                                   Executor& executor);

/// Which images, and how many at a time.
struct DataOptions {
  std::string dataset = {};  ///< empty: the one that the model file names
  std::string dir = {};      ///< empty: where Debian's package puts it
  std::int64_t batch_size = 128;
  std::int64_t train_images = 0;  ///< 0: all
  std::int64_t test_images = 0;   ///< 0: all
  bool skip_corrupt = false;      ///< leave out images that cannot be read
  NormalizeOptions normalize = {};
  ValidationOptions validation = {};  ///< of train and qat

  /// What all commands have that read images; others of these stand in the command's own visit().
  template <typename V>
  void visit(V& v) {
    v.group("Images");
    v.option("--data DIR", dir, "folder of the dataset, default: see rung datasets");
    v.option("--test-images N", test_images, "use the first N test images, 0 = all", at_least(0));
    v.flag("--skip-corrupt", skip_corrupt,
           "leave out images that cannot be read, and say how many");
    normalize.visit(v);
  }
};

/// Starts the computing threads and checks that the figures and the other files can be written, so
/// that an hour of work is not lost. Throws Error otherwise.
void begin_run(const RunOptions& options, const std::vector<std::string>& outputs = {});

/// Returns 91.23 for 0.91234: accuracies are shown and written in percent.
double percent(double share);

}  // namespace rung::cli
