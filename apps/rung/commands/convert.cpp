#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/report.h"
#include "console/utf8.h"
#include "run/graph_task.h"
#include "run/model_source.h"
#include "run/normalize.h"
#include "run/onnx_source.h"
#include "run/options.h"
#include "run/task.h"
#include "rung/core/error.h"
#include "rung/io/file_kind.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_export.h"
#include "rung/io/weights.h"
#include "rung/models.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string in, out, model, dataset, json;
  std::optional<std::int64_t> num_classes, image_size, in_channels;
  std::string dtype;
  bool saturate = false;
  NormalizeOptions normalize;
  OnnxSource onnx;
};

constexpr const char* kDetails =
    R"(What IN is, its content says, whatever its name (*.ckpt, *.bin); what OUT is, its name says:
  *.rung            a model: graph and weights
  *.safetensors     weights with PyTorch's names
  *.pth, *.pt       the same as PyTorch's torch.save writes a state_dict; nothing is executed
  *.onnx            a model: graph and weights, opset 9 to 21 (13 is written); one with
                    QuantizeLinear and DequantizeLinear becomes a quantized model
Weights become other weights as they are, bit for bit without --dtype. They do not say which network
they belong to: to make a model of them --model builds it, for the images and classes that it was
designed for (rung models shows them), for those of --dataset, or as --num-classes, --image-size and
--in-channels say. A *.rung file made with --dataset can be given to the other commands. What
quantized models become is left to rung export.

Examples:
  rung convert resnet20.rung resnet20.pth
  rung convert resnet18-f37072fd.pth resnet18.safetensors --dtype f16
  rung convert resnet20.pth resnet20.rung --model resnet20 --dataset fashion-mnist
  rung convert net.onnx net.rung --dataset cifar10
  rung convert net.onnx net.rung --dataset image-folder --mean 0.5 --std 0.5
The figures of --json: {"parameters", "bytes"})";

constexpr std::array kDtypes = {std::pair{"f32", io::Dtype::F32}, std::pair{"f64", io::Dtype::F64},
                                std::pair{"f16", io::Dtype::F16},
                                std::pair{"bf16", io::Dtype::BF16}};

models::ModelOptions model_options(const Options& options) {
  models::ModelOptions result;
  if (options.dataset.empty()) {
    for (const models::ModelInfo& info : models::list())
      if (info.name == options.model) result = info.options;
  } else {
    result = options_for(options.model, datasets::info(options.dataset));
  }
  result.num_classes = options.num_classes.value_or(result.num_classes);
  result.image_size = options.image_size.value_or(result.image_size);
  result.in_channels = options.in_channels.value_or(result.in_channels);
  return result;
}

/// Says what the model is for, if that was given; throws Error if it is for something else.
void set_task(io::ModelFile& file, const Options& options, const std::string& model) {
  if (options.dataset.empty()) {
    if (options.normalize.given())
      throw UsageError("--mean, --std and --no-normalize need --dataset: what the model is for");
    return;
  }
  const Task task =
      task_of_graph(file.graph, options.in, model, options.dataset, options.normalize);
  const Console console(options.json);
  console.line(describe_preparation(task, options.normalize, ""));
  file.sections[kTaskSection] = to_json(task);
}

/// Refuses what describes the model of weights.
void check_needs_no_model(const Options& options) {
  const char* given = !options.model.empty() ? "--model"
                      : options.num_classes  ? "--num-classes"
                      : options.image_size   ? "--image-size"
                      : options.in_channels  ? "--in-channels"
                                             : nullptr;
  if (given != nullptr)
    throw UsageError(fmt::format("{} is for weights; {} has a graph", given, options.in));
}

io::ModelFile read_model(const Options& options) {
  check_needs_no_model(options);
  io::ModelFile file = io::load_model(options.in);
  if (has_checkpoint(file))
    throw Error(options.in + ": is quantized; rung export writes its weights and encodings");
  set_task(file, options, to_utf8(fs::path(options.in).stem().string()));
  return file;
}

io::ModelFile read_weights(const Options& options) {
  if (options.model.empty())
    throw UsageError(options.in +
                     " holds weights only: say with --model which network they are of");
  io::ModelFile file;
  models::ModelOptions model = model_options(options);
  if (options.num_classes || options.in_channels) {
    file.graph = models::build(options.model, model);
    tell(io::load_weights(file.graph, options.in, {.saturate = options.saturate}), options.in,
         Console(options.json));
  } else {
    file.graph = build_for_weights(options.model, model, options.in, Console(options.json),
                                   options.saturate);
  }
  set_task(file, options, options.model);
  return file;
}

io::ModelFile read_onnx(const Options& options) {
  check_needs_no_model(options);
  io::ModelFile file = load_onnx(options.in, options.onnx);
  set_task(file, options, to_utf8(fs::path(options.in).stem().string()));
  return file;
}

void check_has_no_dtype(const Options& options, std::string_view name) {
  if (!options.dtype.empty() && options.dtype != "f32")
    throw UsageError(fmt::format("--dtype is for files of weights, {} has f32", name));
}

/// The type of --dtype, or nothing.
std::optional<io::Dtype> dtype_of(const Options& options) {
  for (const auto& [name, dtype] : kDtypes)
    if (options.dtype == name) return dtype;
  return std::nullopt;
}

void write_model(const io::ModelFile& file, const Options& options) {
  check_has_no_dtype(options, "*.rung");
  io::save_model(options.out, file.graph, {.sections = file.sections, .tensors = file.tensors});
}

void write_weights(const io::ModelFile& file, const Options& options) {
  io::save_weights(
      file.graph, options.out,
      {.float_dtype = dtype_of(options).value_or(io::Dtype::F32), .saturate = options.saturate});
}

void write_onnx(const io::ModelFile& file, const Options& options) {
  check_has_no_dtype(options, "*.onnx");
  io::save_onnx(file.graph, options.out);
}

/// What is written, by the end of a file's name.
struct Format {
  std::string_view extension;
  void (*write)(const io::ModelFile& file, const Options& options);
};

constexpr std::array kFormats = {
    Format{".rung", write_model}, Format{".safetensors", write_weights},
    Format{".pth", write_weights}, Format{".pt", write_weights}, Format{".onnx", write_onnx}};

const Format& format_of(const std::string& path) {
  const std::string extension = fs::path(path).extension().string();
  const auto* found = std::ranges::find(kFormats, extension, &Format::extension);
  if (found != kFormats.end()) return *found;
  std::vector<std::string_view> known;
  for (const Format& format : kFormats) known.push_back(format.extension);
  throw UsageError(fmt::format("{}: the name must end in one of {}", path, fmt::join(known, ", ")));
}

/// Reads what the content of a file says that it is; what is unknown is taken for what its name
/// says, so that its reader tells what is wrong.
io::ModelFile read(const io::FileKind& kind, const Options& options) {
  const std::string extension = fs::path(options.in).extension().string();
  const bool is_unknown = kind.format == io::FileFormat::unknown;
  switch (kind.format) {
    case io::FileFormat::model:
      return read_model(options);
    case io::FileFormat::safetensors:
    case io::FileFormat::pth:
      return read_weights(options);
    case io::FileFormat::onnx:
      return read_onnx(options);
    default:
      if (is_unknown && extension == ".onnx") return read_onnx(options);
      throw Error(fmt::format(
          "{}: is {}; expected a model, *.rung or *.onnx, or weights, *.safetensors or *.pth",
          options.in, kind.what));
  }
}

void report_written(const Options& options, std::string_view what, std::int64_t numbers) {
  const auto bytes = static_cast<std::int64_t>(fs::file_size(options.out));
  Console(options.json)
      .line(fmt::format("wrote {}: {} {}, {} bytes", options.out, numbers, what, bytes));
  Report report;
  report.set("parameters", numbers);
  report.set("bytes", bytes);
  report.write(options.json);
}

/// Weights become weights without a network.
void convert_weights(const Options& options) {
  const io::ConvertWeightsReport report = io::convert_weights(
      options.in, options.out, {.float_dtype = dtype_of(options), .saturate = options.saturate});
  if (const std::string text = report.to_string(); !text.empty())
    Console(options.json).line(report.prefix.empty() ? text : text + "; with --model it goes");
  report_written(options, fmt::format("numbers in {} tensors", report.tensors), report.numbers);
}

void run(const Options& options) {
  const Format& out = format_of(options.out);
  if (options.saturate && (options.dtype.empty() ? options.model.empty() : options.dtype == "f64"))
    throw UsageError("--saturate is for --dtype f16, bf16 or f32, or to make a model of weights");
  begin_run({.json = options.json}, {options.out});
  const io::FileKind kind = io::file_kind(options.in);
  if (kind.format != io::FileFormat::onnx && kind.format != io::FileFormat::unknown)
    check_no_onnx_options(options.in, options.onnx);
  const bool describes_model = !options.model.empty() || !options.dataset.empty() ||
                               options.num_classes || options.image_size || options.in_channels ||
                               options.normalize.given();
  if ((kind.format == io::FileFormat::safetensors || kind.format == io::FileFormat::pth) &&
      out.write == write_weights && !describes_model)
    return convert_weights(options);
  const io::ModelFile file = read(kind, options);
  out.write(file, options);
  std::int64_t parameters = 0;
  for (const Parameter* parameter : file.graph.parameters())
    if (parameter->role() != Role::buffer) parameters += parameter->value().numel();
  report_written(options, "parameters", parameters);
}

}  // namespace

void add_convert(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("convert", "Change the format of a float model or its weights", kDetails);
  command.argument("IN", options->in, "the file to read");
  command.argument("OUT", options->out, "the file to write");
  command.option("--model NAME", options->model, "whose weights IN holds, see rung models");
  command.option("--dataset NAME", options->dataset, "what the model is for, see rung datasets");
  command.option("--num-classes N", options->num_classes, "of the model", between(1, 1e6));
  command.option("--image-size N", options->image_size, "height and width of its images",
                 between(1, 65536));
  command.option("--in-channels N", options->in_channels, "of its images", between(1, 65536));
  options->normalize.visit(command);
  add_onnx_options(command, options->onnx);
  std::vector<std::string> dtypes;
  for (const auto& [name, dtype] : kDtypes) dtypes.emplace_back(name);
  command.option("--dtype NAME", options->dtype,
                 "of the weights: f32, f64, f16 or bf16; default: f32, of weights as they are",
                 one_of(dtypes));
  command.flag(
      "--saturate", options->saturate,
      "write the largest f16, bf16 or f32 for numbers beyond it, which are an error otherwise");
  command.group("Output");
  command.option("--json FILE", options->json, "write the figures as JSON, - = standard output");
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
