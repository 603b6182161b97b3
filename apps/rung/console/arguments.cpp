#include "console/arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "console/command.h"
#include "rung/core/closest.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::array kWritten = {"--out",    "OUT",     "--json",   "--outputs",
                                 "--sample", "--graph", "--record", "--log-file"};

bool is_written(const std::string& name) {
  return std::ranges::find(kWritten, name) != kWritten.end();
}

bool is_model_out(const std::string& name) { return name == "--out" || name == "OUT"; }

bool names_file(const OptionText& option) { return option.meta.find("FILE") != std::string::npos; }

/// A file that was named on the command line, and by what.
struct NamedFile {
  std::string by, path;
};

std::vector<NamedFile> named_files(const CLI::App& command, const CommandText& text) {
  std::vector<NamedFile> files;
  const auto add = [&](const OptionText& option) {
    std::string name = option.names.substr(0, option.names.find_first_of(",."));
    const CLI::Option* given = command.get_option_no_throw(name);
    if (given == nullptr) return;
    for (const std::string& path : given->results())
      if (path != "-") files.push_back({name, path});
  };
  for (const OptionText& argument : text.arguments) add(argument);
  for (const OptionText& option : text.options)
    if (names_file(option)) add(option);
  return files;
}

/// True if both are, or would become, the same regular file.
bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  const fs::file_status status = fs::status(a, error);
  if (fs::exists(status)) return fs::is_regular_file(status) && fs::equivalent(a, b, error);
  const auto resolved = [&](const std::string& path) {
    return fs::weakly_canonical(fs::absolute(path, error), error);
  };
  const fs::path x = resolved(a), y = resolved(b);
  return !x.empty() && x == y;
}

/// Throws UsageError if what is written unasked is one of the files that were named.
void check_also_written(const std::vector<NamedFile>& named, const std::vector<std::string>& also,
                        bool force) {
  for (const std::string& path : also)
    for (const NamedFile& other : named) {
      if (!is_same_file(path, other.path)) continue;
      if (is_written(other.by))
        throw UsageError(
            fmt::format("{} {} is a file that --out leads to: one would replace the other",
                        other.by, other.path));
      if (!force)
        throw UsageError(
            fmt::format("{}, which --out leads to, would replace what {} names: "
                        "another name keeps it, --force replaces it",
                        path, other.by));
    }
}

std::string_view without_dashes(std::string_view name) {
  return name.substr(std::min(name.find_first_not_of('-'), name.size()));
}

/// Returns how many characters two names may differ in, for one to be meant by the other.
std::size_t likeness(std::string_view a, std::string_view b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  return shorter < 4 ? 1 : std::max<std::size_t>(2, shorter / 3);
}

}  // namespace

std::string do_you_mean(std::string_view given, const std::vector<std::string>& candidates) {
  constexpr std::size_t kMost = 3;
  const std::string_view bare = without_dashes(given);
  std::vector<std::pair<std::size_t, std::string>> ranked;  // the lower, the better
  for (const std::string& candidate : candidates) {
    const std::string_view name = without_dashes(candidate);
    const std::size_t distance = edit_distance(bare, name);
    const bool begins = bare.size() > 1 && name.starts_with(bare);
    if (begins || (name.size() > 2 && bare.starts_with(name)))
      ranked.emplace_back(0, candidate);
    else if (distance <= likeness(bare, name))
      ranked.emplace_back(distance, candidate);
    else if (bare.size() > 1 && name.find(bare) != std::string_view::npos)
      ranked.emplace_back(bare.size(), candidate);
  }
  std::ranges::stable_sort(ranked, {}, &std::pair<std::size_t, std::string>::first);
  std::vector<std::string> best;
  for (const auto& [rank, name] : ranked)
    if (best.size() < kMost && rank == ranked.front().first) best.push_back(name);
  return best.empty() ? "" : fmt::format(": do you mean {}?", fmt::join(best, " or "));
}

namespace {

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> command_names(const CLI::App& program) {
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands({}))
    if (!command->get_group().empty()) names.push_back(command->get_name());
  return names;
}

std::string no_command(const CLI::App& program, const std::string& name) {
  return fmt::format("there is no command {}{}", name, do_you_mean(name, command_names(program)));
}

bool is_option(const std::string& word) { return word.size() > 1 && word.front() == '-'; }

/// Returns what is wrong with words that have no meaning, or nothing.
std::string explain_unknown(const CLI::App& program, const CLI::App* command) {
  const std::vector<std::string> words = program.remaining(true);
  if (command == nullptr)
    for (const std::string& word : words)
      if (!is_option(word)) return no_command(program, word);
  std::vector<std::string> unknown;
  for (const std::string& word : words) {
    if (!is_option(word)) continue;
    const std::string name = word.substr(0, word.find('='));
    const std::vector<std::string> names = option_names(command != nullptr ? *command : program);
    const bool known = std::ranges::find(names, name) != names.end();
    unknown.push_back(known ? fmt::format("{} must stand behind the command", name)
                            : fmt::format("unknown option {}{}", name, do_you_mean(name, names)));
  }
  if (!unknown.empty()) return fmt::format("{}", fmt::join(unknown, "; "));
  if (words.empty()) return {};
  return fmt::format("unexpected argument{}: {}", words.size() == 1 ? "" : "s",
                     fmt::join(words, " "));
}

/// Returns which option has taken another one for its value, or nothing.
std::string explain_swallowed(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options())
    for (const std::string& value : option->results())
      if (value.starts_with("--") && command.get_option_no_throw(value) != nullptr)
        return fmt::format("{} needs a value, got the option {}", option->get_name(), value);
  return {};
}

std::string explain_missing(const CLI::App& command) {
  std::vector<std::string> missing;
  const CLI::Option* model = command.get_option_no_throw("MODEL");
  const CLI::Option* weights = command.get_option_no_throw("--weights");
  if (model != nullptr && weights != nullptr && model->count() == 0 && weights->count() == 0)
    missing.emplace_back("MODEL (or --weights FILE and --model NAME)");
  for (const CLI::Option* option : command.get_options())
    if (option->get_required() && option->count() == 0) {
      const std::string meta = option->get_positional() ? "" : " " + option->get_type_name();
      missing.push_back(option->get_name() + meta);
    }
  return missing.empty() ? "" : fmt::format("missing: {}", fmt::join(missing, ", "));
}

}  // namespace

bool writes_what_it_may_read(const CommandText& command) {
  const auto is_out = [](const OptionText& option) {
    return is_model_out(option.names) && (option.meta.empty() || names_file(option));
  };
  return std::ranges::any_of(command.options, is_out) ||
         std::ranges::any_of(command.arguments, is_out);
}

void check_files(const CLI::App& command, const CommandText& text,
                 const std::vector<std::string>& also_written, bool force) {
  const CLI::Option* target = command.get_option_no_throw("--out");
  if (target != nullptr && target->count() > 0 && target->results().back().empty())
    throw UsageError("--out is empty: give the name of what is to be written");
  const std::vector<NamedFile> files = named_files(command, text);
  check_also_written(files, also_written, force);
  for (const NamedFile& out : files) {
    if (!is_written(out.by)) continue;
    for (const NamedFile& other : files) {
      if (&other == &out || !is_same_file(out.path, other.path)) continue;
      if (is_written(other.by))
        throw UsageError(fmt::format("{} and {} are the same file, {}: one would replace the other",
                                     out.by, other.by, out.path));
      if (!is_model_out(out.by))
        throw UsageError(
            fmt::format("{} {} would replace what {} names", out.by, out.path, other.by));
      if (!force)
        throw UsageError(fmt::format(
            "{} {} would replace what {} names: another name keeps it, --force replaces it", out.by,
            out.path, other.by));
    }
  }
}

const CLI::App& find_command(const CLI::App& program, const std::string& name) {
  for (const CLI::App* command : program.get_subcommands({}))
    if (command->get_name() == name) return *command;
  throw UsageError(no_command(program, name));
}

std::string explain(const CLI::App& program, const CLI::ParseError& error) {
  const std::vector<CLI::App*> given = program.get_subcommands();
  const CLI::App* command = given.empty() ? nullptr : given.front();
  std::string text = command == nullptr ? std::string() : explain_swallowed(*command);
  if (text.empty()) text = explain_unknown(program, command);
  if (!text.empty()) return text;
  if (command == nullptr)
    return fmt::format("give a command: {}", fmt::join(command_names(program), ", "));
  const std::string message = error.what();
  const std::string name = message.substr(0, message.find_first_of(": "));
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) return explain_missing(*command);
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const CLI::Option* option = command->get_option_no_throw(name);
    if (option != nullptr && option->count() == 0)
      return fmt::format("{} needs a value: {} {}", name, name, option->get_type_name());
  }
  if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr)
    return fmt::format("{} and {} exclude each other", name,
                       message.substr(message.find_last_of(' ') + 1));
  return message;
}

}  // namespace rung::cli
