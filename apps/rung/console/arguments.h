#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "console/manual.h"

// What is wrong with a command line as a whole.

namespace rung::cli {

/// True if a command reads files and writes one that could be one of them.
bool writes_what_it_may_read(const CommandText& command);

/// Throws UsageError if two files that are written are the same, or one that is written is also
/// read; of a model that is written over what was read only unless `force`. `also_written` are the
/// files that are written without being named, see Command::also_writes().
void check_files(const CLI::App& command, const CommandText& text,
                 const std::vector<std::string>& also_written, bool force);

/// Returns ": do you mean X or Y?" of the candidates, or nothing if none is like what was given.
std::string do_you_mean(std::string_view given, const std::vector<std::string>& candidates);

/// Returns the command of this name; throws UsageError that says which may have been meant.
const CLI::App& find_command(const CLI::App& program, const std::string& name);

/// Returns what to say about arguments that could not be understood: unknown ones first, with what
/// may have been meant, then all that are missing, then what CLI11 says.
std::string explain(const CLI::App& program, const CLI::ParseError& error);

}  // namespace rung::cli
