#include "rung/analysis/analyze.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/report.h"
#include "run/analysis_report.h"
#include "run/analysis_source.h"
#include "run/analysis_table.h"
#include "run/options.h"
#include "rung/core/error.h"
#include "rung/core/text.h"
#include "rung/io/text_file.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  DataOptions data = {.test_images = 1000};
  std::string file, metric = "sqnr", baseline, training, out, compare;
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
With --out all of it goes into a report: one page that opens in a browser and needs nothing else.
With --compare A B it shows A and B side by side, both analyzed on the same images. In place of a
model there may be the --json of an earlier analysis, for which no images are needed.

Examples:
  rung analyze w4a4.rung --out report.html
  rung analyze --compare w4a4.rung w4a4_qat.rung --out both.html
  rung analyze w4a4.rung --json w4a4.json
  rung analyze w4a4.rung --metric top1 --rows 0
  rung analyze new.rung --baseline w4a4.json --max-drop 0.3
The figures of --json: the whole analysis, as include/rung/analysis/analysis.h has it)";

/// Before hours of work that could not be compared.
void check_baseline(const Options& options, const analysis::Analysis& before, Comparable now) {
  // How many cannot be read, nobody knows yet.
  if (options.data.skip_corrupt) now.images = before.cost.images;
  try {
    check_comparable(before, now);
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

void tell(const analysis::Analysis& analysis, std::int64_t rows, const Console& console) {
  console.text(table_of(analysis, rows));
  console.text(lines_of(analysis::findings(analysis)));
  console.line(fmt::format("{} images, {:.0f} s, as many multiplications as {:.1f} passes",
                           analysis.cost.images, analysis.cost.seconds, analysis.cost.passes));
}

void run(const Options& options) {
  begin_run(options.run, options.out.empty() ? std::vector<std::string>()
                                             : std::vector<std::string>{options.out});
  const Console console(options.run.json);
  std::optional<analysis::Analysis> before;
  if (!options.baseline.empty())
    before = analysis::from_json(io::read_text_file(options.baseline), options.baseline);
  std::optional<analysis::TrainingRecord> training;
  if (!options.training.empty())
    training =
        analysis::training_record_from_json(io::read_text_file(options.training), options.training);
  AnalysisOptions how{.metric = options.metric, .per_quantizer = options.per_quantizer};
  std::vector<ReportedModel> models;
  if (!options.compare.empty())
    models.push_back(analyze_file(options.compare, options.data, options.run, how, console));
  how.before = [&](const Comparable& now) {
    if (before) check_baseline(options, *before, now);
  };
  models.push_back(analyze_file(options.file, options.data, options.run, how, console));
  if (training) models.back().analysis.training = std::move(training);
  for (const ReportedModel& model : models) {
    if (models.size() > 1) console.text("\n" + printable(model.name) + "\n");
    tell(model.analysis, options.rows, console);
  }
  const analysis::Analysis& now = models.back().analysis;
  write_figures(options.run.json, analysis::to_json(now) + "\n");
  if (!options.out.empty()) {
    io::write_text_file(options.out, report_page(models));
    console.line("wrote " + options.out);
  }
  if (before) compare_with(*before, now, options, console);
}

}  // namespace

void add_analyze(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command = program.command(
      "analyze", "Show what quantization does to a model, layer by layer", kDetails);
  command.argument("MODEL", options->file,
                   "a quantized model, *.rung, or the --json of another run");
  command.option("--out FILE", options->out, "write a report, *.html, to open in a browser");
  command.option("--compare FILE", options->compare,
                 "with --out: show this model, or the --json of another run, beside MODEL");
  command.only_for("--compare", "--out", [options] { return !options->out.empty(); });
  command.option("--metric NAME", options->metric, "of the sensitivities, see below",
                 one_of(analysis::metric_names()));
  command.flag("--per-quantizer", options->per_quantizer,
               "measure single quantizers, too, for --json");
  command.option("--rows N", options->rows, "layers to show, 0 = all", at_least(0));
  command.option("--training FILE", options->training,
                 "also show how the model was trained: what --record of train and qat wrote");
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
