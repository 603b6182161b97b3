#include "model_source.h"

#include "rung/io/weights.h"
#include "rung/models.h"
#include "task.h"

namespace rung::cli {
namespace {

constexpr const char* kUsualDataset = "fashion-mnist";  // as of rung train

}  // namespace

void add_model_source(Command& command, ModelSource& source, const std::string& what) {
  command.optional_argument("MODEL", source.file, what);
  command.option("--weights FILE", source.weights,
                 "in place of MODEL: weights with PyTorch's names, *.safetensors or *.pth");
  command.option("--model NAME", source.model, "with --weights: their model, see rung models");
}

io::ModelFile load_model(const ModelSource& source, const std::string& dataset) {
  const bool from_weights = !source.weights.empty() || !source.model.empty();
  if (from_weights == !source.file.empty() || source.weights.empty() != source.model.empty())
    throw UsageError("give a MODEL file, or --weights FILE and --model NAME");
  if (!from_weights) return io::load_model(source.file);
  return load_zoo_model(source, datasets::info(dataset.empty() ? kUsualDataset : dataset));
}

io::ModelFile load_zoo_model(const ModelSource& source, const datasets::DatasetInfo& dataset) {
  io::ModelFile file;
  file.graph = models::build(source.model, {.in_channels = dataset.image_shape[0],
                                            .num_classes = dataset.classes,
                                            .image_size = dataset.image_shape[1]});
  io::load_weights(file.graph, source.weights);
  file.sections[kTaskSection] = to_json(make_task(source.model, dataset));
  return file;
}

}  // namespace rung::cli
