#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <utility>

#include "console.h"
#include "options.h"
#include "report.h"
#include "rung/core/error.h"
#include "rung/io/encodings.h"
#include "rung/io/model_file.h"
#include "rung/io/weights.h"
#include "rung/quantsim/quantsim.h"
#include "subcommands.h"
#include "task.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string model, out, prefix = "model", version = "1.0.0", json;
};

constexpr const char* kDetails =
    R"(Writes into a folder, which is created:
  PREFIX.safetensors      the float weights, with PyTorch's names
  PREFIX.encodings        scale and offset of every quantized tensor, AIMET's format
  PREFIX_torch.encodings  the same by module name, which AIMET's load_encodings reads
A float model has no encodings: only its weights are written.

Example:
  rung export w4a4_qat.rung --out exported --prefix resnet20_w4a4
The figures of --json: {"files": [...]})";

std::vector<std::string> export_files(const Options& options) {
  io::ModelFile file = io::load_model(options.model);
  if (has_checkpoint(file))
    return load_checkpoint(std::move(file), options.model)
        .export_to(options.out, options.prefix, {.encodings_version = options.version});
  std::error_code error;
  fs::create_directories(options.out, error);
  if (error)
    throw Error(fmt::format("cannot create the folder {}: {}", options.out, error.message()));
  const std::string path = (fs::path(options.out) / (options.prefix + ".safetensors")).string();
  io::save_weights(file.graph, path);
  return {path};
}

void run(const Options& options) {
  const std::vector<std::string> files = export_files(options);
  const Console console(options.json);
  for (const std::string& path : files) console.line(path);
  Report report;
  report.set("files", files);
  report.write(options.json);
}

std::string check_version(const std::string& text) {
  try {
    io::encodings_version(text);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

std::string check_prefix(const std::string& text) {
  return text.empty() || text.find('/') != std::string::npos ? "must be a name without /" : "";
}

}  // namespace

void add_export(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("export", "Write weights and encodings for other tools", kDetails);
  command.argument("MODEL", options->model, "a model file, *.rung");
  command.required("--out DIR", options->out, "the folder to write to");
  command.option("--prefix NAME", options->prefix, "how the files' names begin", check_prefix);
  command.option("--encodings-version V", options->version,
                 "of PREFIX.encodings: 0.6.1, 1.0.0 or 2.0.0", check_version);
  command.option("--json FILE", options->json, "write the list as JSON, - = standard output");
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
