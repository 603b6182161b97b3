#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/report.h"
#include "run/model_source.h"
#include "run/options.h"
#include "run/task.h"
#include "rung/core/error.h"
#include "rung/io/encodings.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_export.h"
#include "rung/io/weights.h"
#include "rung/quantsim/export_notes.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string model, out, prefix = "model", version = "1.0.0", onnx = "float", json;
  std::string onnx_codes = "bytes", activations_as = "unsigned", module_names_of;
  std::optional<int> opset;
  bool float_biases = false, int32_biases = false, derived = false, all_derived = false;
  bool is_version_2() const { return io::is_version_2(io::encodings_version(version)); }
  bool writes_float() const { return onnx == "float" || onnx == "both"; }
  bool writes_qdq() const { return onnx == "qdq" || onnx == "both"; }
};

constexpr const char* kDetails =
    R"(Writes into a folder, which is created:
  PREFIX.safetensors      the float weights, with PyTorch's names
  PREFIX.onnx             the graph without quantizers, its weights rounded to their codes
  PREFIX_qdq.onnx         with --onnx qdq or both: the graph with its quantizers, weights as whole
                          numbers; opset 13, or 21 for more than 8 bits and for blocks
  PREFIX.encodings        scale and offset of every quantized tensor, AIMET's format
  PREFIX_torch.encodings  the same by module name, which AIMET's load_encodings reads
A float model has no encodings: only its weights and PREFIX.onnx are written.

Biases become int32 in PREFIX_qdq.onnx, as integer hardware wants them. Unless the model was made
with rung quantize --int32-biases, its simulation had float ones, and it is said how far that moves
the outputs; at 4 bits it may be as far as quantization itself moved them. --float-biases writes
them as they are simulated. Codes of up to 8 bits are bytes, which ONNX Runtime runs for every
number of bits; --onnx-codes packed makes two of 4 bits a byte (opset 21): ONNX Runtime 1.32 runs
those with 4-bit weights and activations both or none, and not behind a Clip.

PREFIX.encodings has an entry for every quantizer. Where a tensor has none because its numbers are
those of another one (behind a MaxPool or Reshape, before a Clip, a Clip's bounds, products with
constants), --derived writes the entries that load_encodings_to_sim(..., strict=True) of aimet-onnx
asks for beside PREFIX.onnx, and leaves int32 biases out, which it refuses; --all-derived writes
what AIMET's sim.onnx.export does. The scale of an int32 bias is always that of the layer's input
times that of its weight; AIMET 2.42 has another one behind MaxPool and Pad.

Example:
  rung export w4a4_qat.rung --out exported --prefix resnet20_w4a4 --onnx both
The figures of --json: {"files": [...], "notes": [...]})";

/// Lists what was written, and what it makes different from the simulation.
struct Exported {
  std::vector<std::string> files, notes = {};
};

Exported export_sim(const QuantizationSimModel& sim, const Options& options) {
  ExportOptions wanted{
      .encodings_version = options.version,
      .export_onnx = options.writes_float(),
      .export_qdq_onnx = options.writes_qdq(),
      .onnx_opset = options.opset,
      .onnx_codes = options.onnx_codes == "packed" ? io::OnnxCodes::packed : io::OnnxCodes::bytes};
  wanted.module_names_of = options.module_names_of;
  if (options.float_biases) wanted.export_int32_bias = false;
  if (options.int32_biases) wanted.export_int32_bias = true;
  if (options.derived) wanted.derived = DerivedEntries::loadable;
  if (options.all_derived) wanted.derived = DerivedEntries::all;
  if (options.activations_as == "signed")
    wanted.force_activation_as = ActivationCodes::signed_codes;
  Exported exported{sim.export_to(options.out, options.prefix, wanted)};
  exported.notes = export_notes(sim, wanted);
  return exported;
}

Exported export_files(const Options& options) {
  io::ModelFile file = read_model_file(options.model);
  if (has_checkpoint(file))
    return export_sim(load_checkpoint(std::move(file), options.model), options);
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
  return {written};
}

void run(const Options& options) {
  const Exported exported = export_files(options);
  const Console console(options.json);
  for (const std::string& path : exported.files) console.line(path);
  for (const std::string& note : exported.notes)
    fmt::print(stderr, "rung export: note: {}\n", note);
  Report report;
  report.set("files", exported.files);
  report.set("notes", exported.notes);
  report.write(options.json);
}

/// Returns the files that an export may write.
std::vector<std::string> files_of(const Options& options) {
  std::vector<std::string> ends = {".safetensors", ".encodings", "_torch.encodings"};
  if (options.writes_float()) ends.emplace_back(".onnx");
  if (options.writes_qdq()) ends.emplace_back("_qdq.onnx");
  for (std::string& end : ends) end = (fs::path(options.out) / (options.prefix + end)).string();
  return ends;
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
                 "of PREFIX.encodings: 0.6.1, 1.0.0, 2.0.0 or 2.1.0", check_version);
  command.exclusive_flags(
      {{"--derived", options->derived, "also entries that AIMET's strict loading asks for"},
       {"--all-derived", options->all_derived, "also all entries that follow from others"}});
  command.option("--activations-as NAME", options->activations_as,
                 "unsigned or signed codes in encodings from 2.0.0 on",
                 one_of({"unsigned", "signed"}));
  command.option("--onnx NAME", options->onnx, "float, qdq, both or none, see below",
                 one_of({"float", "qdq", "both", "none"}));
  command.exclusive_flags({{"--float-biases", options->float_biases,
                            "leave biases float in PREFIX_qdq.onnx and in encodings"},
                           {"--int32-biases", options->int32_biases,
                            "entries of int32 biases in every version of encodings"}});
  command.option("--onnx-codes NAME", options->onnx_codes,
                 "bytes, or packed: 4-bit types where codes fit", one_of({"bytes", "packed"}));
  command.option("--opset N", options->opset,
                 "of ONNX files, 13 to 21; default: the lowest that can hold them",
                 between(13, 21));
  command.only_for("--onnx-codes", "--onnx qdq or both",
                   [options] { return options->writes_qdq() || options->onnx_codes == "bytes"; });
  command.only_for("--float-biases", "--onnx qdq or both, or --encodings-version 2.0.0 and 2.1.0",
                   [options] { return options->writes_qdq() || options->is_version_2(); });
  command.only_for("--activations-as", "--encodings-version 2.0.0 and 2.1.0",
                   [options] { return options->is_version_2(); });
  command.option("--module-names-of FILE", options->module_names_of,
                 "give modules in PREFIX_torch.encodings the names that this file of AIMET's has "
                 "where they alone differ: module_add_1 for add");
  command.group("Output");
  command.option("--json FILE", options->json, "write the list as JSON, - = standard output");
  command.also_writes([options] { return files_of(*options); });
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
