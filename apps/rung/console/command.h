#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "console/manual.h"
#include "rung/core/error.h"

// Command line parsing. CLI11 costs seconds per file that includes it, so that only command.cpp and
// program.cpp do; subcommands declare their options through these few functions.

namespace rung::cli {

/// Looks at the text of an option: returns what is wrong with it, empty if nothing is.
struct Check {
  Check() = default;
  template <std::invocable<const std::string&> Look>
  Check(Look look) : look(std::move(look)) {}  // NOLINT: a function is a check
  std::function<std::string(const std::string&)> look;
  std::vector<std::string> choices;  ///< the only values that pass, where there are few
};
Check at_least(double min);
Check between(double min, double max);
Check one_of(std::vector<std::string> choices);

/// A combination of arguments that makes no sense: the program ends with the exit code of wrong
/// usage and points to --help.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// What an option has to do with the result of a run, which its checkpoints record.
struct Recorded {
  enum class When { never, always, if_given } when = When::never;
  const char* unset = "";  ///< always: what stands for an optional one that is not given
  bool later = false;      ///< checkpoints of earlier versions do not have it, and may go on
};
inline constexpr Recorded affects_result{.when = Recorded::When::always};
inline constexpr Recorded affects_result_if_given{.when = Recorded::When::if_given};
/// Options are written once, in a function visit(v) of the struct that holds their values: v is a
/// Command, or a SettingsRecorder (run/settings.h), which has the same functions.

/// One subcommand. Options are written "--name META"; what they are bound to must live until the
/// action has run, and its present value is the default that --help shows. META says FILE if the
/// value can be the name of a file that is read or, of --out, --json and --outputs, written.
class Command {
 public:
  void argument(std::string_view meta, std::string& value, const std::string& help);
  /// An argument that may be left out: `value` stays as it is then.
  void optional_argument(std::string_view meta, std::string& value, const std::string& help);
  /// One argument or more, behind the others.
  void arguments(std::string_view meta, std::vector<std::string>& values, const std::string& help);
  /// What follows stands below this title in --help.
  void group(const std::string& title) { group_ = title; }
  void required(std::string_view name, std::string& value, const std::string& help,
                Recorded recorded = {});
  /// Declares an option of text, a number, something optional (no default is shown), a list of
  /// numbers with commas between them, or texts of which one is given each time.
  template <typename T>
  void option(std::string_view name, T& value, const std::string& help, const Check& check = {},
              Recorded recorded = {});
  void flag(std::string_view name, bool& value, const std::string& help, Recorded recorded = {});
  struct Flag {
    std::string_view name;
    bool& value;
    std::string help;
    Recorded recorded = {};
  };
  /// Flags of which at most one may be given.
  void exclusive_flags(const std::vector<Flag>& flags);
  /// Says that an option means nothing unless `holds`: then giving it is wrong usage, "NAME is for
  /// WHAT".
  void only_for(std::string name, std::string what, std::function<bool()> holds) {
    conditions_.push_back({std::move(name), std::move(what), std::move(holds)});
  }
  /// Says which files are written beside those that the command line names, once it is read: none
  /// of them may be one that it names.
  void also_writes(std::function<std::vector<std::string>()> files) {
    also_writes_ = std::move(files);
  }
  /// What runs if this subcommand was given. Comes last: it also adds what all commands have,
  /// --quiet, --log-file, --help, and --force if a file is written that could be one that is read.
  void action(std::function<void()> run);

 private:
  friend class Program;
  Command(void* app, CommandText* text, const std::string* command_line)
      : app_(app), text_(text), command_line_(command_line) {}
  void* app_;  // CLI::App
  CommandText* text_;
  const std::string* command_line_;
  std::string group_ = "Options";
  std::function<std::vector<std::string>()> also_writes_;
  struct Condition {
    std::string name, what;
    std::function<bool()> holds;
  };
  std::vector<Condition> conditions_;
};

/// The whole program.
class Program {
 public:
  /// `version` is what --version prints.
  Program(const std::string& description, const std::string& version);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Adds a subcommand; `details` stands below its options in --help.
  Command command(const std::string& name, const std::string& description,
                  const std::string& details);
  /// Adds help, and the hidden commands that print the manual page and what shells complete with.
  void add_own_commands();
  /// Runs the subcommand that was given; returns the exit code: 0, 1 if it threw (one line on
  /// stderr), 2 for wrong usage, 3 if a signal ended it and what it had done is saved.
  int run(int argc, const char* const* argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rung::cli
