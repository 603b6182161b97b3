#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <deque>
#include <exception>
#include <new>
#include <span>

#include "console/arguments.h"
#include "console/command.h"
#include "console/different.h"
#include "console/interrupt.h"
#include "console/messages.h"
#include "console/wording.h"

namespace rung::cli {
namespace {

constexpr int kBadInput = 1;
constexpr int kWrongUsage = 2;
constexpr const char* kHidden = "";  // the group of commands that --help does not list

/// Returns one line: messages of operating system and libraries may have several.
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text;
}

/// Returns what --help prints; CLI11 leaves two empty lines between groups.
std::string help_of(const CLI::App& app, const std::string& name) {
  std::string text = app.get_formatter()->make_help(&app, name, CLI::AppFormatMode::Normal);
  for (std::size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;) text.erase(at, 1);
  return text;
}

}  // namespace

struct Program::Impl {
  CLI::App app;
  std::string version, command_line;
  std::deque<CommandText> texts;  // commands point to theirs

  ProgramText text() const {
    ProgramText program{.description = app.get_description(), .version = version, .commands = {}};
    for (const CommandText& command : texts)
      if (app.get_subcommand(command.name)->get_group() != kHidden)
        program.commands.push_back(command);
    return program;
  }
};

Program::Program(const std::string& description, const std::string& version)
    : impl_(std::make_unique<Impl>()) {
  impl_->version = version;
  impl_->app.description(description);
  impl_->app.name("rung");
  impl_->app.require_subcommand(1);
  impl_->app.set_help_flag("-h,--help", "print this help and exit");
  impl_->app.set_version_flag("-V,--version", version,
                              "print the version, what it was built with and exit");
  impl_->app.get_formatter()->column_width(30);
  impl_->app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  impl_->app.get_formatter()->label("Subcommands", "Commands");
  impl_->app.footer("'rung COMMAND --help' explains a command and shows an example.");
}

Program::~Program() = default;

Command Program::command(const std::string& name, const std::string& description,
                         const std::string& details) {
  CLI::App* command = impl_->app.add_subcommand(name, description);
  command->group("Commands")->footer(details);
  impl_->texts.push_back({.name = name, .description = description, .details = details});
  return Command(command, &impl_->texts.back(), &impl_->command_line);
}

void Program::add_own_commands() {
  const auto topic = std::make_shared<std::string>();
  Command help = command("help", "Explain a command, as COMMAND --help does",
                         "Example:\n  rung help quantize");
  help.optional_argument("COMMAND", *topic,
                         "what to explain; without it, which commands there are");
  help.action([this, topic] {
    const CLI::App& app = impl_->app;
    if (topic->empty()) return print(help_of(app, "rung"));
    print(help_of(find_command(app, *topic), "rung " + *topic));
  });

  Command man = command("man", "Print the manual page, for man(1)", "");
  man.action([this] { print(manual_page(impl_->text())); });
  impl_->app.get_subcommand("man")->group(kHidden);

  const auto shell = std::make_shared<std::string>();
  Command completion = command("completion", "Print what a shell completes command lines with", "");
  completion.argument("SHELL", *shell, "bash or zsh");
  completion.action([this, shell] {
    if (*shell != "bash" && *shell != "zsh")
      throw UsageError("SHELL must be bash or zsh, got " + *shell);
    print(*shell == "bash" ? bash_completion(impl_->text()) : zsh_completion(impl_->text()));
  });
  impl_->app.get_subcommand("completion")->group(kHidden);
}

int Program::run(int argc, const char* const* argv) {
  impl_->command_line = fmt::format("{}", fmt::join(std::span(argv, argv + argc), " "));
  std::string name = "rung";
  const auto fail = [&](int code, const std::string& message) {
    for (const CLI::App* command : impl_->app.get_subcommands()) name += " " + command->get_name();
    const std::string hint = code == kWrongUsage ? fmt::format(" (see {} --help)", name) : "";
    print_error(fmt::format("{}: {}{}", name, one_line(in_options(message)), hint));
    return code;
  };
  try {
    try {
      impl_->app.parse(argc, argv);  // runs the action
    } catch (const CLI::CallForHelp&) {
      const auto commands = impl_->app.get_subcommands();
      print(commands.empty() ? help_of(impl_->app, "rung")
                             : help_of(*commands[0], "rung " + commands[0]->get_name()));
    } catch (const CLI::CallForVersion&) {
      print(impl_->version + "\n");
    } catch (const CLI::ParseError& error) {
      return fail(kWrongUsage, explain(impl_->app, error));
    }
    return 0;
  } catch (const UsageError& error) {
    return fail(kWrongUsage, error.what());
  } catch (const Different&) {
    return kBadInput;
  } catch (const Interrupted& interrupted) {
    return fail(kInterrupted, interrupted.what());
  } catch (const std::bad_alloc&) {
    return fail(kBadInput, "not enough memory");
  } catch (const std::exception& error) {
    return fail(kBadInput, error.what());
  }
}

}  // namespace rung::cli
