#include "run/analysis_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <utility>
#include <vector>

#include "console/interrupt.h"
#include "run/model_source.h"
#include "run/task.h"
#include "rung/analysis/analyze.h"
#include "rung/core/error.h"
#include "rung/core/text.h"
#include "rung/io/model_file.h"
#include "rung/io/text_file.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

/// True for JSON: an object, and not the length of a model file's header, which has zeros in it.
bool is_json(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char first[8] = {};
  file.read(first, sizeof first);
  return file && first[0] == '{' && std::ranges::find(first, '\0') == std::end(first);
}

/// Calls `use` with the loader's batches, behind a progress bar.
void for_each(nn::DataLoader& loader, const std::string& label,
              const std::function<void(const nn::Batch&)>& use) {
  ProgressBar bar(label);
  nn::Progress progress;
  progress.batches = loader.size();
  for (const nn::Batch& batch : loader) {
    throw_if_interrupted();
    use(batch);
    ++progress.batch;
    progress.metrics.images += batch.size();
    bar.update(progress);
  }
}

analysis::Data batches_of(nn::DataLoader& loader) {
  return analysis::Data([&loader](const analysis::Data::Use& use) {
    for_each(loader, "analysis", [&](const nn::Batch& batch) {
      use({&batch.images, 1}, batch.labels);
    });
  });
}

/// Returns the bitwidths that occur among some quantizers, as "4 and 8".
template <typename Wanted>
std::string bits_of(const analysis::Analysis& analysis, Wanted wanted) {
  std::set<int> bits;
  for (const analysis::Quantizer& each : analysis.quantizers)
    if (wanted(each)) bits.insert(each.bitwidth);
  return bits.empty() ? "none" : fmt::format("{}", fmt::join(bits, " and "));
}

/// Fills in what the analysis alone tells.
void describe(ReportedModel& model) {
  const auto is_weight = [](const analysis::Quantizer& each) { return each.place == "parameter"; };
  const std::string weights = bits_of(model.analysis, is_weight);
  const std::string others = bits_of(model.analysis, std::not_fn(is_weight));
  model.subtitle +=
      fmt::format("{}weights {} bits, activations {} bits, {} images",
                  model.subtitle.empty() ? "" : ", ", weights, others, model.analysis.cost.images);
  model.about.emplace_back("file", model.name);
  model.about.emplace_back("bits of weights", weights);
  model.about.emplace_back("bits of activations", others);
}

/// Fills in how the sim was made.
void describe(const QuantSimOptions& options, ReportedModel& model) {
  const std::string scheme = short_name(options.quant_scheme);
  auto& known = model.quantize_options;
  known = {{"--scheme", scheme},
           {"--param-bw", std::to_string(options.default_param_bw)},
           {"--output-bw", std::to_string(options.default_output_bw)}};
  if (options.edge_bw) known.emplace_back("--edge-bw", std::to_string(*options.edge_bw));
  known.emplace_back("--config", options.config_file);
  model.about.emplace_back("scheme", scheme);
  model.about.emplace_back("configuration", options.config_file);
  model.about.emplace_back("rules", options.config_rules);
  model.about.emplace_back("rounding", options.rounding_mode == RoundingMode::nearest
                                           ? "to the nearest"
                                           : "by chance in training");
  model.about.emplace_back("batch norms", std::string(to_string(options.batch_norms)));
  model.about.emplace_back("int32 biases", options.int32_biases ? "simulated" : "in exports only");
}

std::string analyze_command(const std::string& path, const DataOptions& data,
                            const AnalysisOptions& options) {
  std::string command = "rung analyze " + shell_word(path);
  if (!data.dataset.empty()) command += " --dataset " + shell_word(data.dataset);
  if (!data.dir.empty()) command += " --data " + shell_word(data.dir);
  command += fmt::format(" --test-images {}", data.test_images);
  if (options.metric != "sqnr") command += " --metric " + options.metric;
  return command + " --out report.html";
}

ReportedModel analyze_model(const std::string& path, const DataOptions& data_options,
                            const RunOptions& run, const AnalysisOptions& options,
                            const Console& console) {
  io::ModelFile file = read_quantized_model(path);
  const Data data = data_for(file, path, Purpose::looking, data_options, run, console);
  const Task& task = data.task();
  QuantizationSimModel sim = load_checkpoint(std::move(file), path);
  const std::string unfit = data.labels_unfit();
  const std::string level_metric = unfit.empty() ? "top1" : "sqnr";
  nn::DataLoader loader = data.named();
  if (options.before)
    options.before({level_metric, loader.dataset().size(), layers_with_weights(sim.graph())});
  ReportedModel model{.name = path, .title = task.model, .subtitle = task.dataset};
  const InterruptGuard guard;
  model.analysis = analysis::analyze(sim, batches_of(loader), {},
                                     {.metric = options.metric,
                                      .level_metric = level_metric,
                                      .per_quantizer = options.per_quantizer});
  if (!unfit.empty()) {
    console.line(unfit + ": top1 is not computed");
    model.analysis.confusion.reset();
  }
  if (model.analysis.confusion) model.analysis.confusion->class_names = data.task().class_names;
  describe(model);
  model.about.emplace_back("network", task.model);
  model.about.emplace_back("images", task.dataset);
  if (!sim.is_imported()) describe(sim.options(), model);  // else nobody here chose them
  model.analyze_command = analyze_command(path, data_options, options);
  return model;
}

}  // namespace

ReportedModel analyze_file(const std::string& path, const DataOptions& data, const RunOptions& run,
                           const AnalysisOptions& options, const Console& console) {
  if (!is_json(path)) return analyze_model(path, data, run, options, console);
  ReportedModel model{.name = path, .title = path, .subtitle = {}};
  model.analysis = analysis::from_json(io::read_text_file(path), path);
  if (options.before) options.before(comparable(model.analysis));
  describe(model);
  return model;
}

}  // namespace rung::cli
