#include "run/any_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "console/interrupt.h"
#include "console/utf8.h"
#include "run/graph_task.h"
#include "run/model_source.h"
#include "rung/core/error.h"
#include "rung/io/file_kind.h"
#include "rung/io/model_file.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {

namespace {

constexpr std::int64_t kMemory = std::int64_t{256} << 20;

}  // namespace

AnyModel read_any_model(const std::string& path, const OnnxSource& onnx) {
  AnyModel model{.path = path, .graph = {}};
  const bool is_onnx = io::file_kind(path).format == io::FileFormat::onnx;
  io::ModelFile file = is_onnx ? load_onnx(path, onnx) : read_model_file(path);
  if (file.sections.contains(kTaskSection)) model.task = task_of(file, path);
  if (has_checkpoint(file))
    model.graph = load_checkpoint(std::move(file), path).graph().clone();
  else
    model.graph = std::move(file.graph);
  return model;
}

Task task_of(const AnyModel& model, const ImageOptions& options) {
  if (model.task) return *model.task;
  if (options.data.dataset.empty())
    throw UsageError(model.path + ": does not say what images it is for: give --dataset NAME");
  return task_of_graph(model.graph, model.path,
                       to_utf8(std::filesystem::path(model.path).stem().string()),
                       options.data.dataset, options.data.normalize);
}

std::int64_t for_each_batch(nn::DataLoader& loader, const ImageOptions& options,
                            std::int64_t bytes_per_image, const std::string& label,
                            const std::function<void(const Tensor& images)>& use) {
  const std::int64_t most =
      options.batch_size > 0
          ? options.batch_size
          : std::max<std::int64_t>(1, kMemory / std::max<std::int64_t>(1, bytes_per_image));
  ProgressBar bar(label);
  nn::Progress progress;
  progress.batches = loader.size();
  for (const nn::Batch& batch : loader) {
    for (std::int64_t at = 0; at < batch.size(); at += most) {
      throw_if_interrupted();
      use(batch.images.slice(at, std::min(at + most, batch.size())));
    }
    ++progress.batch;
    progress.metrics.images += batch.size();
    bar.update(progress);
  }
  return progress.metrics.images;
}

}  // namespace rung::cli
