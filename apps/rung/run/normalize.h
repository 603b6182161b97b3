#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "console/command.h"
#include "run/task.h"

namespace rung::cli {

/// What the command line says about normalizing images; empty: nothing.
struct NormalizeOptions {
  std::vector<double> mean, std;  ///< one number, or one per channel
  bool none = false;
  bool given() const { return none || !mean.empty() || !std.empty(); }

  template <typename V>
  void visit(V& v) {
    v.option("--mean A,B,C", mean,
             "of pixels from 0 to 1, per channel or one number: images become (x - mean) / "
             "std; default: as the model says, else as the data");
    v.option("--std A,B,C", std, "see --mean");
    v.flag("--no-normalize", none, "take pixels from 0 to 1, and arrays of floats, as they are");
  }
};

/// Makes a task follow the options, if any were given. Throws UsageError for options that
/// contradict each other, and Error for numbers that do not fit the task's images.
void apply(const NormalizeOptions& options, Task& task);

/// Makes the task one of images with so many channels, if it is for colors and they are grey.
void set_channels(Task& task, std::int64_t channels);

/// Returns one line that says how images are prepared for a network, and who says so: an option,
/// the file (its name; empty: a new model), or nobody.
std::string describe_preparation(const Task& task, const NormalizeOptions& options,
                                 const std::string& file);

}  // namespace rung::cli
