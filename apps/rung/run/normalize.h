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
};
/// Adds --mean, --std and --no-normalize.
void add_normalize_options(Command& command, NormalizeOptions& options);

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
