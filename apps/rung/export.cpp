#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "console.h"
#include "model_source.h"
#include "options.h"
#include "report.h"
#include "rung/core/error.h"
#include "rung/io/encodings.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_export.h"
#include "rung/io/weights.h"
#include "rung/quantsim/quantsim.h"
#include "subcommands.h"
#include "task.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string model, out, prefix = "model", version = "1.0.0", onnx = "float", json;
  std::optional<int> opset;
  bool writes_float() const { return onnx == "float" || onnx == "both"; }
  bool writes_qdq() const { return onnx == "qdq" || onnx == "both"; }
};

constexpr const char* kDetails =
    R"(Writes into a folder, which is created:
  PREFIX.safetensors      the float weights, with PyTorch's names
  PREFIX.onnx             the graph without quantizers, its weights rounded to their codes
  PREFIX_qdq.onnx         with --onnx qdq or both: the graph with its quantizers, weights as whole
                          numbers; opset 13, or 21 for 4 and 16 bits and for blocks
  PREFIX.encodings        scale and offset of every quantized tensor, AIMET's format
  PREFIX_torch.encodings  the same by module name, which AIMET's load_encodings reads
A float model has no encodings: only its weights and PREFIX.onnx are written.

Example:
  rung export w4a4_qat.rung --out exported --prefix resnet20_w4a4 --onnx both
The figures of --json: {"files": [...]})";

std::vector<std::string> export_files(const Options& options) {
  io::ModelFile file = read_model_file(options.model);
  if (has_checkpoint(file))
    return load_checkpoint(std::move(file), options.model)
        .export_to(options.out, options.prefix,
                   {.encodings_version = options.version,
                    .export_onnx = options.writes_float(),
                    .export_qdq_onnx = options.writes_qdq(),
                    .onnx_opset = options.opset});
  if (options.writes_qdq())
    throw Error(fmt::format("{}: a float model has no quantizers for --onnx {}; run rung quantize",
                            options.model, options.onnx));
  std::error_code error;
  fs::create_directories(options.out, error);
  if (error)
    throw Error(fmt::format("cannot create the folder {}: {}", options.out, error.message()));
  const std::string base = (fs::path(options.out) / options.prefix).string();
  std::vector<std::string> written = {base + ".safetensors"};
  io::save_weights(file.graph, written[0]);
  if (options.writes_float()) {
    written.push_back(base + ".onnx");
    io::save_onnx(file.graph, written[1], {.opset = options.opset});
  }
  return written;
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
  command.option("--onnx NAME", options->onnx, "float, qdq, both or none, see below",
                 one_of({"float", "qdq", "both", "none"}));
  command.option("--opset N", options->opset,
                 "of ONNX files, 13 to 21; default: the lowest that can hold them",
                 between(13, 21));
  command.group("Output");
  command.option("--json FILE", options->json, "write the list as JSON, - = standard output");
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
