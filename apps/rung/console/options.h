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
};
void add_run_options(Command& command, RunOptions& options);

/// How convolutions compute.
struct ConvOptions {
  std::string algorithm = "auto";
  bool autotune = false;
};
/// Adds --conv-algorithm.
void add_conv_options(Command& command, ConvOptions& options);
/// Adds --autotune.
void add_autotune(Command& command, ConvOptions& options);
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
};
/// Adds --data, --test-images, --skip-corrupt and those of normalizing.
void add_data_options(Command& command, DataOptions& options);

/// Starts the computing threads and checks that the figures and the other files can be written, so
/// that an hour of work is not lost. Throws Error otherwise.
void begin_run(const RunOptions& options, const std::vector<std::string>& outputs = {});

/// Returns 91.23 for 0.91234: accuracies are shown and written in percent.
double percent(double share);

}  // namespace rung::cli
