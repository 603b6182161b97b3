#include "console/manual.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

namespace rung::cli {
namespace {

std::string replace_all(std::string text, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// Returns text for roff: backslashes and hyphens stay what they are, no line is a request.
std::string roff(const std::string& text) {
  std::string escaped = replace_all(replace_all(text, "\\", "\\e"), "-", "\\-");
  if (escaped.starts_with('.') || escaped.starts_with('\'')) escaped.insert(0, "\\&");
  return replace_all(replace_all(escaped, "\n.", "\n\\&."), "\n'", "\n\\&'");
}

std::string roff_option(const OptionText& option) {
  std::string text = fmt::format(".TP\n\\fB{}\\fR", roff(replace_all(option.names, ",", ", ")));
  if (!option.meta.empty()) text += fmt::format(" \\fI{}\\fR", roff(option.meta));
  text += fmt::format("\n{}", roff(option.help));
  if (option.required) text += " (required)";
  if (!option.initial.empty()) text += fmt::format(" (default: {})", roff(option.initial));
  return text + "\n";
}

std::string roff_command(const CommandText& command) {
  std::string usage = command.name;
  for (const OptionText& argument : command.arguments)
    usage += fmt::format(fmt::runtime(argument.required ? " {}" : " [{}]"), argument.names);
  std::string text =
      fmt::format(".SH \"rung {} [OPTIONS]\"\n{}.\n", roff(usage), roff(command.description));
  for (const OptionText& argument : command.arguments) text += roff_option(argument);
  std::string group;
  for (const OptionText& option : command.options) {
    if (option.group != group) text += fmt::format(".SS {}\n", roff(option.group));
    group = option.group;
    text += roff_option(option);
  }
  if (!command.details.empty()) text += fmt::format(".PP\n.nf\n{}\n.fi\n", roff(command.details));
  return text;
}

/// How a value is completed: one of a few words, a file, a folder, or not at all.
enum class Value { none, words, file, folder, other };

Value value_of(const OptionText& option) {
  if (option.meta.empty()) return Value::none;
  if (!option.choices.empty()) return Value::words;
  if (option.meta.find("FILE") != std::string::npos) return Value::file;
  return option.meta.find("DIR") != std::string::npos ? Value::folder : Value::other;
}

/// Returns a case of bash's `case $prev`, empty if the option takes no value.
std::string bash_value(const OptionText& option) {
  const std::string names = replace_all(option.names, ",", "|");
  switch (value_of(option)) {
    case Value::words:
      return fmt::format("        {}) words='{}' files= ;;\n", names,
                         fmt::join(option.choices, " "));
    case Value::file:
      return fmt::format("        {}) words= files=-f ;;\n", names);
    case Value::folder:
      return fmt::format("        {}) words= files=-d ;;\n", names);
    case Value::other:
      return fmt::format("        {}) words= files= ;;\n", names);
    default:
      return {};
  }
}

std::vector<std::string> command_names(const ProgramText& program) {
  std::vector<std::string> names;
  for (const CommandText& command : program.commands) names.push_back(command.name);
  return names;
}

/// Returns text for the inside of '...[HERE]...' of zsh's _arguments.
std::string zsh(std::string text) {
  for (const auto* special : {"\\", "[", "]", ":"})
    text = replace_all(text, special, fmt::format("\\{}", special));
  return replace_all(text, "'", "'\\''");
}

std::string zsh_option(const OptionText& option) {
  std::string action;
  switch (value_of(option)) {
    case Value::words:
      action = fmt::format(":{}:({})", zsh(option.meta), fmt::join(option.choices, " "));
      break;
    case Value::file:
      action = fmt::format(":{}:_files", zsh(option.meta));
      break;
    case Value::folder:
      action = fmt::format(":{}:_files -/", zsh(option.meta));
      break;
    case Value::other:
      action = fmt::format(":{}: ", zsh(option.meta));
      break;
    default:
      break;
  }
  std::string lines;
  for (const std::string& name : split(option.names, ','))
    lines += fmt::format(" \\\n        '{}[{}]{}'", name, zsh(option.help), action);
  return lines;
}

}  // namespace

std::string manual_page(const ProgramText& program) {
  std::string text = fmt::format(
      ".TH RUNG 1 \"\" \"{}\" \"User Commands\"\n"
      ".SH NAME\nrung \\- train image classifiers and simulate their quantization\n"
      ".SH SYNOPSIS\n\\fBrung\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n"
      ".SH DESCRIPTION\n{}\n",
      roff(first_line(program.version)), roff(program.description));
  for (const CommandText& command : program.commands) text += roff_command(command);
  text +=
      ".SH \"EXIT STATUS\"\n0 success; 1 bad input or a failure, with one line on standard error; "
      "2 "
      "wrong usage; 3 ended by a signal, with everything saved.\n"
      ".SH ENVIRONMENT\n.TP\n\\fBRUNG_MAX_ISA\\fR\nbaseline or avx2: do not use newer "
      "instructions.\n";
  return text;
}

std::string bash_completion(const ProgramText& program) {
  std::string text = fmt::format(
      "# bash completion for rung, made by rung completion bash\n"
      "_rung() {{\n"
      "  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}\n"
      "  local command=${{COMP_WORDS[1]}} words= files=-f\n"
      "  if [[ $COMP_CWORD -eq 1 ]]; then\n"
      "    words='{} -h --help -V --version' files=\n"
      "  else\n"
      "    case $command in\n",
      fmt::join(command_names(program), " "));
  for (const CommandText& command : program.commands) {
    std::vector<std::string> names;
    std::string values;
    for (const OptionText& option : command.options) {
      names.push_back(replace_all(option.names, ",", " "));
      values += bash_value(option);
    }
    const std::string topics =
        command.name == "help" ? fmt::format(" {}", fmt::join(command_names(program), " ")) : "";
    text += fmt::format("    {})\n      words='{}{}'\n      case $prev in\n{}      esac ;;\n",
                        command.name, fmt::join(names, " "), topics,
                        values.empty() ? "        *) ;;\n" : values);
  }
  return text +
         "    esac\n"
         "    [[ $cur == -* || -z $files ]] || compopt -o filenames\n"
         "  fi\n"
         "  mapfile -t COMPREPLY < <(\n"
         "    [[ -z $words ]] || compgen -W \"$words\" -- \"$cur\"\n"
         "    [[ $cur == -* || -z $files ]] || compgen \"$files\" -- \"$cur\")\n"
         "}\n"
         "complete -F _rung rung\n";
}

std::string zsh_completion(const ProgramText& program) {
  std::string text =
      "#compdef rung\n"
      "# zsh completion for rung, made by rung completion zsh\n"
      "_rung() {\n"
      "  local -a commands=(";
  for (const CommandText& command : program.commands)
    text += fmt::format("\n    '{}:{}'", command.name, zsh(command.description));
  text +=
      "\n  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n";
  for (const CommandText& command : program.commands) {
    text += fmt::format("    {})\n      _arguments", command.name);
    for (const OptionText& option : command.options) text += zsh_option(option);
    text += command.name == "help" ? fmt::format(" \\\n        '1:COMMAND:({})'",
                                                 fmt::join(command_names(program), " "))
                                   : " \\\n        '*:FILE:_files'";
    text += " ;;\n";
  }
  return text + "  esac\n}\n_rung \"$@\"\n";
}

}  // namespace rung::cli
