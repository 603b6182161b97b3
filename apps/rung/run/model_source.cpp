#include "run/model_source.h"

#include <fmt/format.h>

#include "run/model_shape.h"
#include "run/normalize.h"
#include "run/task.h"
#include "rung/core/error.h"
#include "rung/io/file_kind.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

constexpr const char* kUsualDataset = "fashion-mnist";  // as of rung train

}  // namespace

io::ModelFile load_model(const ModelSource& source, const DataOptions& data,
                         const Console& console) {
  const bool from_weights = !source.weights.empty() || !source.model.empty();
  if (from_weights == !source.file.empty() || source.weights.empty() != source.model.empty())
    throw UsageError("give a MODEL file, or --weights FILE and --model NAME");
  if (!from_weights) return read_model_file(source.file);
  return load_zoo_model(
      source, datasets::info(data.dataset.empty() ? kUsualDataset : data.dataset, data.dir),
      console);
}

io::ModelFile read_model_file(const std::string& path) {
  using io::FileFormat;
  const io::FileKind kind = io::file_kind(path);
  if (kind.format == FileFormat::onnx || kind.format == FileFormat::pth ||
      kind.format == FileFormat::safetensors)
    throw Error(fmt::format("{}: is {}, no model file, *.rung; rung convert makes one of it", path,
                            kind.what));
  return io::load_model(path);
}

io::ModelFile read_quantized_model(const std::string& path) {
  io::ModelFile file = read_model_file(path);
  if (!has_checkpoint(file))
    throw Error(path + ": is not quantized; rung quantize makes a quantized model of it");
  return file;
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
                        const std::string& weights, const Console& console, bool saturate) {
  Graph graph = models::build(model, options);
  const io::LoadWeightsReport report =
      io::load_weights(graph, weights, {.skip_other_shapes = true, .saturate = saturate});
  if (report.other_shapes.empty()) {
    tell(report, weights, console);
    return graph;
  }
  const ModelShape shape(model, options);
  options.num_classes = shape.classes(report.other_shapes).value_or(options.num_classes);
  options.in_channels = shape.channels(report.other_shapes).value_or(options.in_channels);
  graph = models::build(model, options);
  // Throws if anything else differs.
  tell(io::load_weights(graph, weights, {.saturate = saturate}), weights, console);
  return graph;
}

io::ModelFile load_zoo_model(const ModelSource& source, const datasets::DatasetInfo& dataset,
                             const Console& console) {
  io::ModelFile file;
  models::ModelOptions options = options_for(source.model, dataset);
  file.graph = build_for_weights(source.model, options, source.weights, console);
  Task task = make_task(source.model, dataset, options.image_size);
  if (options.num_classes != task.num_classes) task.class_names.clear();
  task.num_classes = options.num_classes;
  set_channels(task, options.in_channels);
  task.assumed = true;
  file.sections[kTaskSection] = to_json(task);
  return file;
}

void tell(const io::LoadWeightsReport& report, const std::string& path, const Console& console) {
  const std::string text = report.to_string();
  if (!text.empty()) console.line(fmt::format("{}: {}", path, text));
}

}  // namespace rung::cli
