#include "rung/analysis/analyze.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/interrupt.h"
#include "console/report.h"
#include "run/analysis_table.h"
#include "run/data.h"
#include "run/model_source.h"
#include "run/options.h"
#include "run/task.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/io/text_file.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  DataOptions data = {.test_images = 1000};
  std::string file, metric = "sqnr", baseline, training;
  bool per_quantizer = false;
  std::int64_t rows = 20;
  double max_drop = 0.0;
};

constexpr const char* kDetails =
    R"(Says where a quantized model loses what, on test images (the first 1000; --test-images 0
takes all). Its top1 is measured with nothing, weights, activations and all quantized, in percent;
if the labels mean nothing to the model, the SQNR of its outputs instead. Then a row for each
layer that has quantizers:
  alone      --metric of the model's outputs if this layer alone is quantized
  all but    the same if all other layers are
  output     SQNR in dB of the layer's output in the quantized model
  at 4 bit   estimated SQNR in dB of the model's outputs if this layer had 4 bits
  sums       bits of its sums in whole numbers: those of the images, and the most there can be
  clipped%   the largest share of one of its tensors that lies outside its range
Metrics: sqnr (dB), mse, cosine; of classifiers kl, agreement (same winner as in float), top1.
Ranges stay as they are: nothing is calibrated.
With --baseline the exit code is 1 if the model is worse than in that analysis by more than
--max-drop, in percent of top1 (or dB of SQNR).

Examples:
  rung analyze w4a4.rung --json w4a4.json
  rung analyze w4a4.rung --metric top1 --rows 0
  rung analyze new.rung --baseline w4a4.json --max-drop 0.3
The figures of --json: the whole analysis, as include/rung/analysis/analysis.h has it)";

/// Returns the loader's batches, behind a progress bar.
analysis::Data with_progress(nn::DataLoader& loader) {
  return analysis::Data([&loader](const analysis::Data::Use& use) {
    ProgressBar bar("analysis");
    nn::Progress progress;
    progress.batches = loader.size();
    for (const nn::Batch& batch : loader) {
      throw_if_interrupted();
      use({&batch.images, 1}, batch.labels);
      ++progress.batch;
      progress.metrics.images += batch.size();
      bar.update(progress);
    }
  });
}

/// Before hours of work that could not be compared.
void check_baseline(const Options& options, const analysis::Analysis& before,
                    const std::string& level_metric, const nn::DataLoader& loader) {
  // How many cannot be read, nobody knows yet.
  const bool skips = options.data.skip_corrupt;
  const std::int64_t images = skips ? before.cost.images : loader.dataset().size();
  try {
    check_comparable(before, level_metric, images);
  } catch (const Error& error) {
    throw Error(options.baseline + ": " + error.what());
  }
}

void compare_with(const analysis::Analysis& before, const analysis::Analysis& now,
                  const Options& options, const Console& console) {
  const double drop = drop_since(before, now);
  const std::string& metric = now.levels.metric;
  const std::string change = fmt::format("{}, it was {}", shown(now.levels.everything, metric),
                                         shown(before.levels.everything, metric));
  if (!(drop <= options.max_drop))
    throw Error(fmt::format("{}: {} is {}: more than --max-drop {} worse; the worst layer is {}",
                            options.baseline, unit_of(metric), change, options.max_drop,
                            worst_layer(now)));
  console.line(fmt::format("compared with {}: {}", options.baseline, change));
}

void run(const Options& options) {
  begin_run(options.run);
  const Console console(options.run.json);
  std::optional<analysis::Analysis> before;
  if (!options.baseline.empty())
    before = analysis::from_json(io::read_text_file(options.baseline), options.baseline);
  std::optional<analysis::TrainingRecord> training;
  if (!options.training.empty())
    training =
        analysis::training_record_from_json(io::read_text_file(options.training), options.training);
  const std::string& path = options.file;
  io::ModelFile file = read_model_file(path);
  if (!has_checkpoint(file))
    throw Error(path + ": is not quantized: rung quantize makes a model that can be analyzed");
  const Task task = task_of(file, path);
  const Data data(task, options.data, options.run);
  data.check_fits(file.graph);
  console.line(describe_preparation(data.task(), options.data.normalize, path));
  const QuantizationSimModel sim = load_checkpoint(std::move(file), path);
  const std::string unfit = data.labels_unfit();
  const std::string level_metric = unfit.empty() ? "top1" : "sqnr";
  nn::DataLoader loader = data.named();
  if (before) check_baseline(options, *before, level_metric, loader);
  const InterruptGuard guard;
  analysis::Analysis now = analysis::analyze(sim, with_progress(loader), {},
                                             {.metric = options.metric,
                                              .level_metric = level_metric,
                                              .per_quantizer = options.per_quantizer});
  now.training = std::move(training);
  if (!unfit.empty()) console.line(unfit + ": top1 is not computed");
  console.text(table_of(now, options.rows));
  console.text(lines_of(analysis::findings(now)));
  console.line(fmt::format("{} images, {:.0f} s, as many multiplications as {:.1f} passes",
                           now.cost.images, now.cost.seconds, now.cost.passes));
  write_figures(options.run.json, analysis::to_json(now) + "\n");
  if (before) compare_with(*before, now, options, console);
}

}  // namespace

void add_analyze(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command = program.command(
      "analyze", "Show what quantization does to a model, layer by layer", kDetails);
  command.argument("MODEL", options->file, "a quantized model, *.rung");
  command.option("--metric NAME", options->metric, "of the sensitivities, see below",
                 one_of(analysis::metric_names()));
  command.flag("--per-quantizer", options->per_quantizer,
               "measure single quantizers, too, for --json");
  command.option("--rows N", options->rows, "layers to show, 0 = all", at_least(0));
  command.option("--training FILE", options->training,
                 "put how the model was trained into --json: what --record of train and qat wrote");
  command.option("--baseline FILE", options->baseline, "compare with the --json of another run");
  command.option("--max-drop X", options->max_drop,
                 "with --baseline: what the model may be worse by", at_least(0));
  command.only_for("--max-drop", "--baseline", [options] { return !options->baseline.empty(); });
  command.group("Images");
  command.option("--dataset NAME", options->data.dataset, "default: the one it was trained on");
  options->data.visit(command);
  options->run.visit(command);
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
