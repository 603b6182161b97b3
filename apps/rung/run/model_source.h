#pragma once

#include <string>

#include "console/command.h"
#include "console/console.h"
#include "run/options.h"
#include "rung/datasets.h"
#include "rung/io/model_file.h"
#include "rung/io/weights.h"
#include "rung/models.h"

namespace rung::cli {

/// Where a model comes from: a model file, or weights of one of rung's models.
struct ModelSource {
  std::string file;
  std::string weights, model;

  /// The file that is read.
  const std::string& path() const { return weights.empty() ? file : weights; }

  /// The argument MODEL, which may be left out, and --weights and --model in its place.
  template <typename V>
  void visit(V& v, const std::string& what) {
    v.optional_argument("MODEL", file, what);
    v.group("Model");
    v.option("--weights FILE", weights,
             "in place of MODEL: weights with PyTorch's names, *.safetensors or *.pth");
    v.option("--model NAME", model, "with --weights: their model, see rung models");
  }
};

/// Reads the model file, or builds the model for a dataset (fashion-mnist if data.dataset is empty)
/// and fills it with the weights; then it has a task like a file of rung train. Throws UsageError
/// unless exactly one of both is given. Says on the console what was left out of the weights.
io::ModelFile load_model(const ModelSource& source, const DataOptions& data,
                         const Console& console);

/// Reads a model file. Throws Error, also for files of which rung convert makes one, with that
/// hint.
io::ModelFile read_model_file(const std::string& path);

/// Reads the file of a quantized model. Throws Error also for a float model, with how to make one.
io::ModelFile read_quantized_model(const std::string& path);

/// Returns how a model is built for a dataset; what the dataset leaves open is as it was designed.
models::ModelOptions options_for(const std::string& model, const datasets::DatasetInfo& dataset);

/// Builds a model with weights from a file. The options are made to be those that the file has
/// where its shapes show another number of classes or channels. Says on the console what was left
/// out of the weights. `saturate`: see io::LoadWeightsOptions.
Graph build_for_weights(const std::string& model, models::ModelOptions& options,
                        const std::string& weights, const Console& console, bool saturate = false);

/// Builds a model with weights from a file, for the images of a dataset; how many classes and
/// channels it has is up to the weights. Says on the console what was left out of them.
io::ModelFile load_zoo_model(const ModelSource& source, const datasets::DatasetInfo& dataset,
                             const Console& console);

/// Says what was not taken as it stands in a file of weights, if anything.
void tell(const io::LoadWeightsReport& report, const std::string& path, const Console& console);

}  // namespace rung::cli
