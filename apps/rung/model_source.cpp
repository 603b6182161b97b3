#include "model_source.h"

#include <array>
#include <filesystem>
#include <string_view>

#include "model_shape.h"
#include "normalize.h"
#include "rung/core/error.h"
#include "rung/io/weights.h"
#include "task.h"

namespace rung::cli {
namespace {

constexpr const char* kUsualDataset = "fashion-mnist";  // as of rung train

}  // namespace

void add_model_source(Command& command, ModelSource& source, const std::string& what) {
  command.optional_argument("MODEL", source.file, what);
  command.group("Model");
  command.option("--weights FILE", source.weights,
                 "in place of MODEL: weights with PyTorch's names, *.safetensors or *.pth");
  command.option("--model NAME", source.model, "with --weights: their model, see rung models");
}

io::ModelFile load_model(const ModelSource& source, const DataOptions& data) {
  const bool from_weights = !source.weights.empty() || !source.model.empty();
  if (from_weights == !source.file.empty() || source.weights.empty() != source.model.empty())
    throw UsageError("give a MODEL file, or --weights FILE and --model NAME");
  if (!from_weights) return read_model_file(source.file);
  return load_zoo_model(
      source, datasets::info(data.dataset.empty() ? kUsualDataset : data.dataset, data.dir));
}

io::ModelFile read_model_file(const std::string& path) {
  constexpr std::array<std::string_view, 3> kConvertible = {".onnx", ".pth", ".pt"};
  const std::string extension = std::filesystem::path(path).extension().string();
  for (const std::string_view each : kConvertible)
    if (extension == each)
      throw Error(path + ": is no model file, *.rung; rung convert makes one of it");
  return io::load_model(path);
}

models::ModelOptions options_for(const std::string& model, const datasets::DatasetInfo& dataset) {
  models::ModelOptions options;
  for (const models::ModelInfo& info : models::list())
    if (info.name == model) options = info.options;
  if (dataset.classes > 0) options.num_classes = dataset.classes;
  if (dataset.image_shape.rank() != 3) return options;
  options.in_channels = dataset.image_shape[0];
  if (!has_any_size(dataset)) options.image_size = dataset.image_shape[1];
  return options;
}

Graph build_for_weights(const std::string& model, models::ModelOptions& options,
                        const std::string& weights) {
  Graph graph = models::build(model, options);
  const io::LoadWeightsReport report =
      io::load_weights(graph, weights, {.skip_other_shapes = true});
  if (report.other_shapes.empty()) return graph;
  const ModelShape shape(model, options);
  options.num_classes = shape.classes(report.other_shapes).value_or(options.num_classes);
  options.in_channels = shape.channels(report.other_shapes).value_or(options.in_channels);
  graph = models::build(model, options);
  io::load_weights(graph, weights);  // throws if anything else differs
  return graph;
}

io::ModelFile load_zoo_model(const ModelSource& source, const datasets::DatasetInfo& dataset) {
  io::ModelFile file;
  models::ModelOptions options = options_for(source.model, dataset);
  file.graph = build_for_weights(source.model, options, source.weights);
  Task task = make_task(source.model, dataset, options.image_size);
  if (options.num_classes != task.num_classes) task.class_names.clear();
  task.num_classes = options.num_classes;
  set_channels(task, options.in_channels);
  task.assumed = true;
  file.sections[kTaskSection] = to_json(task);
  return file;
}

}  // namespace rung::cli
