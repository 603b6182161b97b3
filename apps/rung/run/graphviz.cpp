#include "run/graphviz.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "rung/core/error.h"
#include "rung/core/text.h"
#include "rung/io/text_file.h"

extern char** environ;

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "dot";

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Scratch = std::unique_ptr<std::FILE, Close>;  // a file without a name

Scratch scratch() {
  Scratch file(std::tmpfile());
  if (file == nullptr)
    throw Error(fmt::format("cannot make a temporary file: {}", std::strerror(errno)));
  return file;
}

std::string content_of(std::FILE* file) {
  std::rewind(file);
  std::string text;
  char buffer[1 << 16];
  for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, file)) > 0;)
    text.append(buffer, count);
  return text;
}

/// Runs Graphviz without a shell: nothing in a name can become a command. Files, not pipes, since
/// one side of two pipes may wait for the other for ever. Returns its exit code.
int run_graphviz(std::FILE* in, std::FILE* out, std::FILE* messages, const std::string& path) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(in), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(messages), STDERR_FILENO);
  char program[] = "dot", format[] = "-Tsvg";
  char* const arguments[] = {program, format, nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, kProgram, &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    throw Error(fmt::format(
        "{}: cannot run Graphviz's program {}, which draws it: {}: install graphviz, or write "
        "{}",
        path, kProgram, std::strerror(error), fs::path(path).replace_extension(".dot").string()));
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return 1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

std::string svg_of(const std::string& dot, const std::string& path) {
  const Scratch in = scratch(), out = scratch(), messages = scratch();
  if (std::fwrite(dot.data(), 1, dot.size(), in.get()) != dot.size() || std::fflush(in.get()) != 0)
    throw Error(fmt::format("cannot write a temporary file: {}", std::strerror(errno)));
  std::rewind(in.get());
  const int code = run_graphviz(in.get(), out.get(), messages.get(), path);
  const std::string svg = content_of(out.get());
  if (code == 0 && svg.find("<svg") != std::string::npos) return svg;
  const std::string said = content_of(messages.get());
  throw Error(fmt::format("{}: Graphviz's program {} has drawn nothing (exit code {}): {}", path,
                          kProgram, code,
                          shortened(printable(said.substr(0, said.find('\n'))), 200)));
}

}  // namespace

std::string check_drawing_name(const std::string& path) {
  const std::string extension = fs::path(path).extension().string();
  return extension == ".svg" || extension == ".dot" ? "" : "the name must end in .svg or .dot";
}

void write_drawing(const std::string& path, const std::string& dot) {
  io::write_text_file(path, fs::path(path).extension() == ".svg" ? svg_of(dot, path) : dot);
}

}  // namespace rung::cli
