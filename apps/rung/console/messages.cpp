#include "console/messages.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

#include "console/wording.h"
#include "rung/core/error.h"
#include "rung/core/text.h"

namespace rung::cli {
namespace {

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// The process has one standard output, and so it has one log.
struct Output {
  bool quiet = false;
  std::unique_ptr<std::FILE, Closer> log;
  std::string log_path;
};

Output& output() {
  static Output instance;
  return instance;
}

bool write(std::FILE* file, std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0;
}

/// Appends each line with the time. A log that cannot be written any more is given up, once.
void append_to_log(std::string_view text) {
  Output& out = output();
  if (out.log == nullptr) return;
  const std::string time = fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(std::time(nullptr)));
  std::string lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines += fmt::format("{}  {}\n", time, text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (write(out.log.get(), lines)) return;
  const std::string reason = std::strerror(errno);
  out.log.reset();
  warn(fmt::format("{}: cannot write: {}: the log ends here", out.log_path, reason));
}

/// Escapes control characters but line ends and tabs: names in files can be anything.
std::string printable_lines(std::string_view lines) {
  std::string text;
  for (std::size_t end = 0; !lines.empty(); lines.remove_prefix(end)) {
    end = std::min(lines.find_first_of("\n\t"), lines.size());
    text += printable(lines.substr(0, end));
    if (end < lines.size()) text += lines[end++];
  }
  return text;
}

}  // namespace

void secure_standard_files() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is the one that is missing. The other way round than it is meant, so
    // that using it is still an error.
    (void)open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

void open_output(const OutputOptions& options, std::string_view command_line) {
  Output& out = output();
  out.quiet = options.quiet;
  if (options.log_file.empty()) return;
  out.log_path = options.log_file;
  out.log.reset(std::fopen(options.log_file.c_str(), "ae"));
  if (out.log == nullptr)
    throw Error(
        fmt::format("--log-file {}: cannot open: {}", options.log_file, std::strerror(errno)));
  append_to_log(command_line);
}

bool is_quiet() { return output().quiet; }

void print(std::string_view lines, Sink sink) {
  const std::string text = printable_lines(lines);
  append_to_log(text);
  if (is_quiet()) return;
  const bool written = write(sink == Sink::standard_error ? stderr : stdout, text);
  if (!written && sink == Sink::standard_output)
    throw Error(fmt::format("cannot write to standard output: {}", std::strerror(errno)));
}

void print_error(std::string_view line) {
  constexpr std::size_t kLongest = 2000;  // warnings name what is in files, too
  const std::string text = printable_lines(shortened(line, kLongest));
  (void)write(stderr, fmt::format("{}\n", text));
  append_to_log(text);
}

void warn(std::string_view text) {
  print_error(fmt::format("rung: warning: {}", in_options(std::string(text))));
}

void print_to_terminal(std::string_view text) { (void)write(stderr, text); }

}  // namespace rung::cli
