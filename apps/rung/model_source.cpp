#include "model_source.h"

#include <array>
#include <filesystem>
#include <string_view>

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

io::ModelFile load_zoo_model(const ModelSource& source, const datasets::DatasetInfo& dataset) {
  io::ModelFile file;
  const models::ModelOptions options = options_for(source.model, dataset);
  file.graph = models::build(source.model, options);
  io::load_weights(file.graph, source.weights);
  file.sections[kTaskSection] = to_json(make_task(source.model, dataset, options.image_size));
  return file;
}

}  // namespace rung::cli
