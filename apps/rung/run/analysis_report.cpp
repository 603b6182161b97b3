#include "run/analysis_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "apps/report/page.h"
#include "run/json_text.h"
#include "rung/analysis/findings.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;
using Options = std::vector<std::pair<std::string, std::string>>;

/// A list of JSON, of what `text` makes of each element.
template <typename T, typename Text>
std::string json_list(const std::vector<T>& elements, Text text) {
  std::vector<std::string> parts;
  for (const T& each : elements) parts.push_back(text(each));
  return fmt::format("[{}]", fmt::join(parts, ","));
}

/// The file beside the model whose name has this instead of its ending.
std::string beside(const std::string& model, const std::string& ending) {
  const fs::path path(model);
  return (path.parent_path() / (path.stem().string() + ending)).string();
}

/// Returns the options with those of a text, "--name value ...", in place of their own kind.
Options with(Options options, const std::string& text) {
  std::istringstream words(text);
  std::string name, value;
  while (words >> name >> value) {
    const auto same = std::ranges::find(options, name, &Options::value_type::first);
    if (same != options.end())
      same->second = value;
    else
      options.emplace_back(name, value);
  }
  return options;
}

/// Returns the command with FLOAT.rung, which the model does not name, for its float model.
std::string quantize_command(const Options& options, const std::string& out) {
  std::string command = "rung quantize FLOAT.rung";
  for (const auto& [name, value] : options) command += " " + name + " " + shell_word(value);
  return command + " --out " + shell_word(out);
}

/// Returns what a person types to try a remedy.
std::string command_for(const std::string& remedy, const ReportedModel& model) {
  // Of an earlier analysis nobody knows the model's file.
  const std::string file = model.quantize_options.empty() ? "MODEL.rung" : model.name;
  if (remedy == "rung qat")
    return fmt::format("rung qat {} --out {}", shell_word(file),
                       shell_word(beside(file, "_qat.rung")));
  if (remedy.starts_with("rung ")) return remedy;
  return quantize_command(with(model.quantize_options, remedy), beside(file, "_new.rung"));
}

std::string finding_json(const analysis::Finding& finding, const ReportedModel& model) {
  return fmt::format("{{\"subject\":{},\"text\":{},\"commands\":{}}}", json_string(finding.subject),
                     json_string(finding.text),
                     json_list(finding.remedies, [&](const std::string& remedy) {
                       return json_string(command_for(remedy, model));
                     }));
}

std::string command_json(const std::string& what, const std::string& command) {
  return fmt::format("{{\"what\":{},\"command\":{}}}", json_string(what), json_string(command));
}

std::string commands_json(const ReportedModel& model) {
  std::vector<std::string> commands;
  if (!model.quantize_options.empty())
    commands.push_back(command_json("The model, where FLOAT.rung is the one it was made of:",
                                    quantize_command(model.quantize_options, model.name)));
  if (!model.analyze_command.empty())
    commands.push_back(command_json("This report:", model.analyze_command));
  return fmt::format("[{}]", fmt::join(commands, ","));
}

std::string model_json(const ReportedModel& model) {
  return fmt::format(
      "{{\"name\":{},\"title\":{},\"subtitle\":{},\"about\":{},\"commands\":{},\n\"findings\":{},\n"
      "\"analysis\":{}}}",
      json_string(model.name), json_string(model.title), json_string(model.subtitle),
      json_list(model.about,
                [](const auto& row) {
                  return fmt::format("[{},{}]", json_string(row.first), json_string(row.second));
                }),
      commands_json(model),
      json_list(analysis::findings(model.analysis),
                [&](const analysis::Finding& each) { return finding_json(each, model); }),
      without_tags(analysis::to_json(model.analysis)));
}

}  // namespace

std::string report_page(const std::vector<ReportedModel>& models) {
  return report::page(fmt::format("{{\"models\":{}}}\n", json_list(models, model_json)));
}

std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word)
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  return quoted + "'";
}

}  // namespace rung::cli
