#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "rung/nn/train.h"

namespace rung::cli {

/// Where a command tells people what it does: standard output, or stderr if that belongs to JSON;
/// the log as well, and with --quiet only the log.
class Console {
 public:
  explicit Console(const std::string& json_path) : to_stderr_(json_path == "-") {}
  /// Prints a line; throws Error if it cannot be written (a full disk).
  void line(std::string_view text) const;
  /// Prints text that brings its own line ends. In both, control characters are escaped.
  void text(std::string_view text) const;

 private:
  bool to_stderr_;
};

/// A line on a terminal that follows a pass over the data: bar, images/s, time left. Redrawn at
/// most ten times a second and erased at the end; silent with --quiet and if stderr is no terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(const nn::Progress& progress);
  /// Shows a text of so many columns behind the rest of the line, where there is room.
  void set_note(std::string note, std::size_t columns);
  /// Erases the line, until the next update.
  void clear();
  /// Returns update() as the callback that nn's loops take; must not outlive the bar.
  std::function<void(const nn::Progress&)> callback();

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_, note_;
  std::size_t note_columns_ = 0;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point last_{};
};

/// Returns a loss with four decimals, or NaN.
std::string shown_loss(double loss);

}  // namespace rung::cli
