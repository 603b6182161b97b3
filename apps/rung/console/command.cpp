#include "console/command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "console/arguments.h"
#include "console/messages.h"

namespace rung::cli {
namespace {

CLI::App& app(void* pointer) { return *static_cast<CLI::App*>(pointer); }

template <typename T>
struct ValueOf {
  using Type = T;
};
template <typename T>
struct ValueOf<std::optional<T>> {
  using Type = T;
};
template <>
struct ValueOf<std::vector<double>> {
  using Type = double;
};

/// Returns what is wrong with a text that is to become a T.
template <typename T>
std::string check_type(const std::string& text) {
  if constexpr (std::is_arithmetic_v<T>) {
    T value{};
    if (std::is_unsigned_v<T> && text.starts_with('-'))  // else it would wrap around
      return fmt::format("must be a whole number from 0 on, got {}", text);
    if (!CLI::detail::lexical_cast(text, value))
      return fmt::format("must be {}, got {}",
                         std::is_integral_v<T> ? "a whole number" : "a number", text);
  }
  return {};
}

/// What is added in one place, whatever the type of the value.
struct Declaration {
  std::string_view name;  ///< with its meta
  const std::string& help;
  const std::string& group;
  const Check& check;
};

/// Adds "--name META", whatever the type of its value.
template <typename T>
CLI::Option* add(void* pointer, CommandText& text, T& value, const Declaration& declaration) {
  const std::size_t blank = declaration.name.find(' ');
  const std::string names(declaration.name.substr(0, blank));
  const std::string meta(blank == std::string_view::npos ? "" : declaration.name.substr(blank + 1));
  CLI::Option* option = app(pointer).add_option(names, value, declaration.help);
  option->type_name(meta)->group(declaration.group);
  option->check(CLI::Validator(
      [](std::string& given) { return check_type<typename ValueOf<T>::Type>(given); }, ""));
  if (declaration.check.look)
    option->check(CLI::Validator(
        [look = declaration.check.look](std::string& given) { return look(given); }, ""));
  text.options.push_back({.group = declaration.group,
                          .names = names,
                          .meta = meta,
                          .help = declaration.help,
                          .initial = {},
                          .choices = declaration.check.choices});
  return option;
}

CLI::Option* add_flag(void* pointer, CommandText& text, const std::string& group,
                      const Command::Flag& flag) {
  text.options.push_back(
      {.group = group, .names = std::string(flag.name), .meta = {}, .help = flag.help});
  return app(pointer).add_flag(std::string(flag.name), flag.value, flag.help)->group(group);
}

double number(const std::string& text) {
  try {
    return std::stod(text);
  } catch (const std::exception&) {
    return std::nan("");
  }
}

}  // namespace

Check at_least(double min) {
  return [min](const std::string& text) {
    const double value = number(text);
    return value >= min && std::isfinite(value)
               ? std::string()
               : fmt::format("must be a number from {} on, got {}", min, text);
  };
}

Check between(double min, double max) {
  return [min, max](const std::string& text) {
    const double value = number(text);
    return value >= min && value <= max
               ? std::string()
               : fmt::format("must be a number from {} to {}, got {}", min, max, text);
  };
}

Check one_of(std::vector<std::string> choices) {
  Check check = [choices](const std::string& text) {
    return std::find(choices.begin(), choices.end(), text) != choices.end()
               ? std::string()
               : fmt::format("must be one of {}, got {}", fmt::join(choices, ", "), text);
  };
  check.choices = std::move(choices);
  return check;
}

void Command::argument(std::string_view meta, std::string& value, const std::string& help) {
  app(app_).add_option(std::string(meta), value, help)->required()->type_name("");
  text_->arguments.push_back({.names = std::string(meta), .help = help, .required = true});
}
void Command::optional_argument(std::string_view meta, std::string& value,
                                const std::string& help) {
  app(app_).add_option(std::string(meta), value, help)->type_name("");
  text_->arguments.push_back({.names = std::string(meta), .help = help});
}
void Command::arguments(std::string_view meta, std::vector<std::string>& values,
                        const std::string& help) {
  app(app_).add_option(std::string(meta), values, help)->required()->type_name("");
  text_->arguments.push_back({.names = std::string(meta) + "...", .help = help, .required = true});
}
void Command::required(std::string_view name, std::string& value, const std::string& help,
                       Recorded) {
  add(app_, *text_, value, {name, help, group_, {}})->required()->take_last();
  text_->options.back().required = true;
}

template <typename T>
void Command::option(std::string_view name, T& value, const std::string& help, const Check& check,
                     Recorded) {
  CLI::Option* option = add(app_, *text_, value, {name, help, group_, check});
  if constexpr (std::is_same_v<T, std::vector<std::string>>)
    option->expected(1)->take_all();
  else if constexpr (std::is_same_v<T, std::vector<double>>)
    option->delimiter(',');
  else
    option->take_last();  // given twice: the last one counts, so that scripts can append
  constexpr bool has_default =
      std::is_same_v<typename ValueOf<T>::Type, T> && !std::is_same_v<T, std::vector<std::string>>;
  if constexpr (has_default) {
    option->capture_default_str();
    text_->options.back().initial = option->get_default_str();
  }
}
// The types of options.
template void Command::option(std::string_view, std::string&, const std::string&, const Check&,
                              Recorded);
template void Command::option(std::string_view, double&, const std::string&, const Check&,
                              Recorded);
template void Command::option(std::string_view, int&, const std::string&, const Check&, Recorded);
template void Command::option(std::string_view, std::int64_t&, const std::string&, const Check&,
                              Recorded);
template void Command::option(std::string_view, std::uint64_t&, const std::string&, const Check&,
                              Recorded);
template void Command::option(std::string_view, std::optional<int>&, const std::string&,
                              const Check&, Recorded);
template void Command::option(std::string_view, std::optional<std::int64_t>&, const std::string&,
                              const Check&, Recorded);
template void Command::option(std::string_view, std::optional<double>&, const std::string&,
                              const Check&, Recorded);
template void Command::option(std::string_view, std::vector<std::string>&, const std::string&,
                              const Check&, Recorded);
template void Command::option(std::string_view, std::vector<double>&, const std::string&,
                              const Check&, Recorded);

void Command::flag(std::string_view name, bool& value, const std::string& help, Recorded) {
  add_flag(app_, *text_, group_, {name, value, help});
}
void Command::exclusive_flags(const std::vector<Flag>& flags) {
  std::vector<CLI::Option*> added;
  for (const Flag& flag : flags) {
    CLI::Option* option = add_flag(app_, *text_, group_, flag);
    for (CLI::Option* other : added) option->excludes(other);
    added.push_back(option);
  }
}

void Command::action(std::function<void()> run) {
  struct Common {
    OutputOptions output;
    bool force = false;
  };
  const auto common = std::make_shared<Common>();
  group("Output");
  if (also_writes_ || writes_what_it_may_read(*text_))
    flag("--force", common->force, "let the file that is written be one of those that are read");
  flag("-q,--quiet", common->output.quiet, "print nothing but warnings and errors");
  option("--log-file FILE", common->output.log_file,
         "append to it what is printed, with the time at each line");
  app(app_).set_help_flag("-h,--help", "print this help and exit")->group(group_);
  text_->options.push_back(
      {.group = group_, .names = "-h,--help", .meta = {}, .help = "print this help and exit"});
  app(app_).callback([this_app = &app(app_), text = text_, line = command_line_, common,
                      run = std::move(run), also_writes = also_writes_, conditions = conditions_] {
    for (const Condition& each : conditions)
      if (this_app->count(each.name) > 0 && !each.holds())
        throw UsageError(fmt::format("{} is for {}", each.name, each.what));
    check_files(*this_app, *text, also_writes ? also_writes() : std::vector<std::string>(),
                common->force);
    open_output(common->output, *line);
    run();
  });
}

}  // namespace rung::cli
