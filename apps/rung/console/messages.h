#pragma once

#include <string>
#include <string_view>

// Everything that the program says goes through here: results to standard output, warnings and
// errors to stderr, all of it to the log as well. Control characters are escaped: names in files
// can be anything.

namespace rung::cli {

/// What every command takes about what it says.
struct OutputOptions {
  bool quiet = false;    ///< nothing on standard output, no progress on stderr
  std::string log_file;  ///< empty: none
};

/// Makes sure that no file which is opened later becomes standard output or stderr because the
/// program was started without one: what is written there fails then, as if it were not open.
void secure_standard_files();

/// Follows the options from now on. The log is appended to, with the time at each line, and begins
/// with the command line. Throws Error if it cannot be opened.
void open_output(const OutputOptions& options, std::string_view command_line);

/// True if nothing but warnings and errors is to be shown.
bool is_quiet();

/// Where results go: standard output, unless that belongs to JSON.
enum class Sink { standard_output, standard_error };

/// Prints text that brings its own line ends; throws Error if standard output does not take it (a
/// full disk).
void print(std::string_view text, Sink sink = Sink::standard_output);

/// Prints a line to stderr. Never fails: a run must not end because nobody listens.
void print_error(std::string_view line);
/// Prints "rung: warning: TEXT" to stderr.
void warn(std::string_view text);
/// Prints what belongs to a terminal only, like a progress bar: it is not logged. Never fails.
void print_to_terminal(std::string_view text);

}  // namespace rung::cli
