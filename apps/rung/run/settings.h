#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "console/command.h"
#include "console/report.h"
#include "rung/nn/run_settings.h"

namespace rung::cli {

/// What checkpoints record of a run: name of an option, or of what else its result depends on.
struct Settings {
  nn::RunSettings values = {};
  std::set<std::string> later = {};  ///< checkpoints of earlier versions may lack these
};

/// Sets "options": what the figures are the result of.
void add_options(const Settings& settings, Report& report);

/// Visits options as a Command does, and records those that the result depends on.
class SettingsRecorder {
 public:
  void group(const std::string&) {}
  template <typename Holds>
  void only_for(std::string_view, std::string_view, const Holds&) {}
  void argument(std::string_view, const std::string&, const std::string&) {}
  void optional_argument(std::string_view, const std::string&, const std::string&) {}
  void required(std::string_view name, const std::string& value, const std::string&,
                Recorded recorded = {}) {
    note(name, value, recorded);
  }
  template <typename T>
  void option(std::string_view name, const T& value, const std::string&, const Check& = {},
              Recorded recorded = {}) {
    note(name, text_of(value), recorded);
  }
  void flag(std::string_view name, bool value, const std::string&, Recorded recorded = {}) {
    if (value || recorded.when != Recorded::When::if_given)
      note(name, value ? "true" : "false", recorded);
  }
  void exclusive_flags(const std::vector<Command::Flag>& flags) {
    for (const Command::Flag& each : flags) flag(each.name, each.value, each.help, each.recorded);
  }

  Settings take() { return std::move(settings_); }

 private:
  static std::optional<std::string> text_of(const std::string& value) { return value; }
  static std::optional<std::string> text_of(double value);
  static std::optional<std::string> text_of(std::int64_t value);
  static std::optional<std::string> text_of(std::uint64_t value);
  static std::optional<std::string> text_of(int value) { return text_of(std::int64_t{value}); }
  static std::optional<std::string> text_of(const std::vector<double>& values);
  template <typename T>
  static std::optional<std::string> text_of(const std::optional<T>& value) {
    return value ? text_of(*value) : std::nullopt;
  }
  void note(std::string_view name, const std::optional<std::string>& text, Recorded recorded);

  Settings settings_;
};

/// Returns what a run's options amount to.
template <typename Options>
Settings recorded(Options options) {
  SettingsRecorder recorder;
  options.visit(recorder);
  return recorder.take();
}

}  // namespace rung::cli
