#pragma once

#include <string>
#include <vector>

// The manual page and the completion of shells are made of what --help says.

namespace rung::cli {

struct OptionText {
  std::string group = {};  ///< its title in --help; empty for arguments
  std::string names = {};  ///< "--batch-size,--batch", of an argument its meta
  std::string meta = {};   ///< what stands for its value, empty for flags and arguments
  std::string help = {};
  std::string initial = {};               ///< the default, empty if there is none
  std::vector<std::string> choices = {};  ///< the only values, where there are few
  bool required = false;
};

struct CommandText {
  std::string name, description, details;
  std::vector<OptionText> arguments = {}, options = {};
};

struct ProgramText {
  std::string description, version;
  std::vector<CommandText> commands;
};

/// Returns the page for man(1), in roff.
std::string manual_page(const ProgramText& program);
/// Returns the script that makes a shell complete commands, options, their choices and file names.
std::string bash_completion(const ProgramText& program);
std::string zsh_completion(const ProgramText& program);

}  // namespace rung::cli
