#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/report.h"
#include "run/model_source.h"
#include "rung/io/model_file.h"
#include "rung/nn/checkpoints.h"

namespace rung::cli {
namespace {

struct Options {
  std::string model, json;
};

constexpr const char* kDetails =
    R"(Two files with the same hash hold the same model: the same graph, the same bits in weights,
batch norm statistics and encodings, and in a checkpoint the same state of training. What is left
out is a checkpoint's record of the run: times, accuracies, options. Not for security (XXH3).

Example: was the run reproduced?
  rung hash a.rung; rung hash b.rung
The figures of --json: {"hash"})";

void run(const Options& options) {
  const std::string hash = io::hash_of(read_model_file(options.model), {nn::kRunSection});
  Console(options.json).line(fmt::format("{}  {}", hash, options.model));
  Report report;
  report.set("hash", hash);
  report.write(options.json);
}

}  // namespace

void add_hash(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("hash", "Print a hash of what matters in a model file", kDetails);
  command.argument("MODEL", options->model, "a model file or checkpoint, *.rung");
  command.group("Output");
  command.option("--json FILE", options->json, "write the hash as JSON, - = standard output");
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
