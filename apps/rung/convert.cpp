#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "console.h"
#include "model_source.h"
#include "normalize.h"
#include "options.h"
#include "report.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_export.h"
#include "rung/io/onnx_import.h"
#include "rung/io/weights.h"
#include "rung/models.h"
#include "rung/quantsim/quantsim.h"
#include "subcommands.h"
#include "task.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string in, out, model, dataset, json;
  std::optional<std::int64_t> num_classes, image_size, in_channels;
  std::string dtype = "f32";
  NormalizeOptions normalize;
};

constexpr const char* kDetails =
    R"(The names of the files say what they are:
  *.rung            a model: graph and weights
  *.safetensors     weights with PyTorch's names
  *.pth, *.pt       the same as PyTorch's torch.save writes a state_dict; nothing is executed
  *.onnx            a model: graph and weights, opset 9 to 21 (13 is written); one with
                    QuantizeLinear and DequantizeLinear becomes a quantized model
Weights do not say which network they belong to: --model builds it, for the images and classes that
it was designed for (rung models shows them), for those of --dataset, or as --num-classes,
--image-size and --in-channels say. A *.rung file made with --dataset can be given to the other
commands. What quantized models become is left to rung export.

Examples:
  rung convert resnet20.rung resnet20.pth
  rung convert resnet18-f37072fd.pth resnet18.safetensors --model resnet18 --dtype f16
  rung convert resnet20.pth resnet20.rung --model resnet20 --dataset fashion-mnist
  rung convert net.onnx net.rung --dataset cifar10
  rung convert net.onnx net.rung --dataset image-folder --mean 0.5 --std 0.5
The figures of --json: {"parameters", "bytes"})";

constexpr std::array kDtypes = {std::pair{"f32", io::Dtype::F32}, std::pair{"f64", io::Dtype::F64},
                                std::pair{"f16", io::Dtype::F16},
                                std::pair{"bf16", io::Dtype::BF16}};

std::string shapes_of(std::span<Value* const> values) {
  std::vector<std::string> shapes;
  for (const Value* value : values) shapes.push_back(value->shape().to_string());
  return fmt::format("{}", fmt::join(shapes, " and "));
}

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
  datasets::DatasetInfo dataset = datasets::info(options.dataset);
  if (dataset.mean.empty() && !options.normalize.given())
    throw Error(options.dataset +
                ": only rung train can say what its images are like; else say it with --mean and "
                "--std, or --no-normalize");
  const auto inputs = file.graph.inputs(), outputs = file.graph.outputs();
  if (inputs.size() != 1 || outputs.size() != 1 || inputs[0]->shape().rank() != 4 ||
      outputs[0]->shape().rank() != 2)
    throw Error(
        fmt::format("{}: takes {} and gives {}; a classifier of images takes [N, C, H, W] "
                    "and gives [N, classes]",
                    options.in, shapes_of(inputs), shapes_of(outputs)));
  const Shape &input = inputs[0]->shape(), &output = outputs[0]->shape();
  Shape images = dataset.image_shape;
  if (images.rank() == 0) {  // arrays
    images = {input[1], input[2], input[3]};
    dataset.mean.assign(static_cast<std::size_t>(input[1]), 0.0f);
    dataset.std.assign(static_cast<std::size_t>(input[1]), 1.0f);
  }
  // Pictures are cut to this size, and made grey for a model of one channel.
  if (has_any_size(dataset)) images = {input[1] == 1 ? 1 : images[0], input[2], input[2]};
  if (dataset.classes == 0) dataset.classes = output[1];  // a look at files would tell
  if (input != Shape{input[0], images[0], images[1], images[2]} || output[1] != dataset.classes)
    throw Error(fmt::format("{}: takes {} and gives {}; {} has {} classes of images {}", options.in,
                            input.to_string(), output.to_string(), options.dataset, dataset.classes,
                            has_any_size(dataset) ? "[3, H, H]" : images.to_string()));
  Task task = make_task(model, dataset, input[2]);
  set_channels(task, input[1]);
  task.assumed = true;
  apply(options.normalize, task);
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
  set_task(file, options, fs::path(options.in).stem().string());
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
    io::load_weights(file.graph, options.in);
  } else {
    file.graph = build_for_weights(options.model, model, options.in);
  }
  set_task(file, options, options.model);
  return file;
}

io::ModelFile read_onnx(const Options& options) {
  check_needs_no_model(options);
  io::ModelFile file;
  file.graph = io::load_onnx(options.in);
  set_task(file, options, fs::path(options.in).stem().string());
  const std::vector<QuantizerHandle> quantizers = find_quantizers(file.graph);
  if (quantizers.empty()) return file;
  const bool per_channel = std::ranges::any_of(
      quantizers, [](const QuantizerHandle& each) { return each.encoding().scale.size() > 1; });
  QuantizationSimModel sim = QuantizationSimModel::from_quantized(
      std::move(file.graph), {.config_file = per_channel ? "per_channel" : "default"});
  file.sections[std::string(kQuantSimSection)] = sim.state();
  file.graph = sim.graph().clone();
  return file;
}

void write_model(const io::ModelFile& file, const Options& options) {
  if (options.dtype != "f32") throw UsageError("--dtype is for files of weights, *.rung has f32");
  io::save_model(options.out, file.graph, {.sections = file.sections, .tensors = file.tensors});
}

void write_weights(const io::ModelFile& file, const Options& options) {
  const auto* dtype = std::ranges::find(
      kDtypes, options.dtype, [](const auto& row) { return std::string_view(row.first); });
  io::save_weights(file.graph, options.out, {.float_dtype = dtype->second});
}

void write_onnx(const io::ModelFile& file, const Options& options) {
  if (options.dtype != "f32") throw UsageError("--dtype is for files of weights, *.onnx has f32");
  io::save_onnx(file.graph, options.out);
}

/// What is read and written, by the end of a file's name.
struct Format {
  std::string_view extension;
  io::ModelFile (*read)(const Options& options);
  void (*write)(const io::ModelFile& file, const Options& options);
};

constexpr std::array kFormats = {
    Format{".rung", read_model, write_model}, Format{".safetensors", read_weights, write_weights},
    Format{".pth", read_weights, write_weights}, Format{".pt", read_weights, write_weights},
    Format{".onnx", read_onnx, write_onnx}};

const Format& format_of(const std::string& path) {
  const std::string extension = fs::path(path).extension().string();
  const auto* found = std::ranges::find(kFormats, extension, &Format::extension);
  if (found != kFormats.end()) return *found;
  std::vector<std::string_view> known;
  for (const Format& format : kFormats) known.push_back(format.extension);
  throw UsageError(fmt::format("{}: the name must end in one of {}", path, fmt::join(known, ", ")));
}

void run(const Options& options) {
  const Format &in = format_of(options.in), &out = format_of(options.out);
  begin_run({.json = options.json}, {options.out});
  const io::ModelFile file = in.read(options);
  out.write(file, options);
  std::int64_t parameters = 0;
  for (const Parameter* parameter : file.graph.parameters())
    if (parameter->role() != Role::buffer) parameters += parameter->value().numel();
  const auto bytes = static_cast<std::int64_t>(fs::file_size(options.out));
  const Console console(options.json);
  console.line(fmt::format("wrote {}: {} parameters, {} bytes", options.out, parameters, bytes));
  Report report;
  report.set("parameters", parameters);
  report.set("bytes", bytes);
  report.write(options.json);
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
  add_normalize_options(command, options->normalize);
  std::vector<std::string> dtypes;
  for (const auto& [name, dtype] : kDtypes) dtypes.emplace_back(name);
  command.option("--dtype NAME", options->dtype, "of the weights: f32, f64, f16 or bf16",
                 one_of(dtypes));
  command.group("Output");
  command.option("--json FILE", options->json, "write the figures as JSON, - = standard output");
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
