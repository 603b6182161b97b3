#include "run/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "console/utf8.h"

namespace rung::cli {

void add_options(const Settings& settings, Report& report) {
  Report options;
  for (const auto& [name, value] : settings.values) options.set(name, to_utf8(value));
  report.set("options", options);
}

std::optional<std::string> SettingsRecorder::text_of(double value) {
  return fmt::format("{}", value);
}
std::optional<std::string> SettingsRecorder::text_of(std::int64_t value) {
  return fmt::format("{}", value);
}
std::optional<std::string> SettingsRecorder::text_of(std::uint64_t value) {
  return fmt::format("{}", value);
}
std::optional<std::string> SettingsRecorder::text_of(const std::vector<double>& values) {
  return fmt::format("{}", fmt::join(values, ","));
}

void SettingsRecorder::note(std::string_view name, const std::optional<std::string>& text,
                            Recorded recorded) {
  if (recorded.when == Recorded::When::never) return;
  const bool given = text && !text->empty();
  if (recorded.when == Recorded::When::if_given && !given) return;
  const std::string key(name.substr(0, name.find(' ')));  // without its meta
  settings_.values[key] = text.value_or(recorded.unset);
  if (recorded.later) settings_.later.insert(key);
}

}  // namespace rung::cli
