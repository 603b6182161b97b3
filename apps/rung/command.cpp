#include "command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <exception>
#include <new>
#include <utility>

#include "interrupt.h"

namespace rung::cli {
namespace {

constexpr int kBadInput = 1;
constexpr int kWrongUsage = 2;

CLI::App& app(void* pointer) { return *static_cast<CLI::App*>(pointer); }

/// Adds "--name META"; every overload of Command::option ends here.
template <typename T>
CLI::Option* add(void* pointer, std::string_view name, T& value, const std::string& help,
                 const Check& check) {
  const std::size_t blank = name.find(' ');
  CLI::Option* option = app(pointer).add_option(std::string(name.substr(0, blank)), value, help);
  if (blank != std::string_view::npos) option->type_name(std::string(name.substr(blank + 1)));
  if (check) option->check(CLI::Validator([check](std::string& text) { return check(text); }, ""));
  return option;
}

/// Options given twice: the last one counts, so that scripts can append.
template <typename T>
void add_shown(void* pointer, std::string_view name, T& value, const std::string& help,
               const Check& check) {
  CLI::Option* option = add(pointer, name, value, help, check);
  option->take_last()->capture_default_str();
}

double number(const std::string& text) {
  try {
    return std::stod(text);
  } catch (const std::exception&) {
    return std::nan("");
  }
}

/// Returns one line: messages of operating system and libraries may have several.
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text;
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
  return [choices = std::move(choices)](const std::string& text) {
    return std::find(choices.begin(), choices.end(), text) != choices.end()
               ? std::string()
               : fmt::format("must be one of {}, got {}", fmt::join(choices, ", "), text);
  };
}

void Command::argument(std::string_view meta, std::string& value, const std::string& help) {
  app(app_).add_option(std::string(meta), value, help)->required()->type_name("");
}
void Command::optional_argument(std::string_view meta, std::string& value,
                                const std::string& help) {
  app(app_).add_option(std::string(meta), value, help)->type_name("");
}
void Command::arguments(std::string_view meta, std::vector<std::string>& values,
                        const std::string& help) {
  app(app_).add_option(std::string(meta), values, help)->required()->type_name("");
}
void Command::required(std::string_view name, std::string& value, const std::string& help) {
  add(app_, name, value, help, {})->required()->take_last();
}
void Command::option(std::string_view name, std::string& value, const std::string& help,
                     const Check& check) {
  add_shown(app_, name, value, help, check);
}
void Command::option(std::string_view name, double& value, const std::string& help,
                     const Check& check) {
  add_shown(app_, name, value, help, check);
}
void Command::option(std::string_view name, int& value, const std::string& help,
                     const Check& check) {
  add_shown(app_, name, value, help, check);
}
void Command::option(std::string_view name, std::int64_t& value, const std::string& help,
                     const Check& check) {
  add_shown(app_, name, value, help, check);
}
void Command::option(std::string_view name, std::uint64_t& value, const std::string& help,
                     const Check& check) {
  add_shown(app_, name, value, help, check);
}
void Command::option(std::string_view name, std::optional<int>& value, const std::string& help,
                     const Check& check) {
  add(app_, name, value, help, check)->take_last();
}
void Command::option(std::string_view name, std::optional<std::int64_t>& value,
                     const std::string& help, const Check& check) {
  add(app_, name, value, help, check)->take_last();
}
void Command::option(std::string_view name, std::optional<double>& value, const std::string& help,
                     const Check& check) {
  add(app_, name, value, help, check)->take_last();
}
void Command::option(std::string_view name, std::vector<double>& value, const std::string& help) {
  add(app_, name, value, help, {})->delimiter(',');
}
void Command::flag(std::string_view name, bool& value, const std::string& help) {
  app(app_).add_flag(std::string(name), value, help);
}
void Command::exclusive_flags(const std::vector<Flag>& flags) {
  std::vector<CLI::Option*> added;
  for (const Flag& flag : flags) {
    CLI::Option* option = app(app_).add_flag(std::string(flag.name), flag.value, flag.help);
    for (CLI::Option* other : added) option->excludes(other);
    added.push_back(option);
  }
}
void Command::action(std::function<void()> run) { app(app_).callback(std::move(run)); }

struct Program::Impl {
  CLI::App app;
};

Program::Program(const std::string& description, const std::string& version)
    : impl_(std::make_unique<Impl>()) {
  impl_->app.description(description);
  impl_->app.name("rung");
  impl_->app.require_subcommand(1);
  impl_->app.set_version_flag("--version", "rung " + version, "print the version and exit");
  impl_->app.get_formatter()->column_width(30);
  impl_->app.footer("'rung COMMAND --help' explains a command and shows an example.");
}

Program::~Program() = default;

Command Program::command(const std::string& name, const std::string& description,
                         const std::string& details) {
  CLI::App* command = impl_->app.add_subcommand(name, description);
  command->footer(details);
  return Command(command);
}

int Program::run(int argc, const char* const* argv) {
  std::string name = "rung";
  const auto fail = [&](int code, const std::string& message) {
    fmt::print(stderr, "{}: {}\n", name, one_line(message));
    return code;
  };
  const auto name_command = [&] {
    for (const CLI::App* command : impl_->app.get_subcommands()) name += " " + command->get_name();
  };
  const auto misused = [&](const std::exception& error) {
    name_command();
    return fail(kWrongUsage, fmt::format("{} (see {} --help)", error.what(), name));
  };
  try {
    impl_->app.parse(argc, argv);  // runs the action
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return impl_->app.exit(error);  // --help, --version
    return misused(error);
  } catch (const UsageError& error) {
    return misused(error);
  } catch (const Interrupted& interrupted) {
    name_command();
    return fail(kInterrupted, interrupted.what());
  } catch (const std::bad_alloc&) {
    name_command();
    return fail(kBadInput, "not enough memory");
  } catch (const std::exception& error) {
    name_command();
    return fail(kBadInput, error.what());
  }
}

}  // namespace rung::cli
