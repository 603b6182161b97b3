#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands/subcommands.h"
#include "console/hints.h"
#include "console/interrupt.h"
#include "console/messages.h"
#include "console/report.h"
#include "console/utf8.h"
#include "run/config_choice.h"
#include "run/data.h"
#include "run/model_source.h"
#include "run/options.h"
#include "run/saving.h"
#include "run/task.h"
#include "run/training.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/ptq/ptq.h"
#include "rung/quant/registry.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/config.h"
#include "rung/quantsim/config_utils.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

constexpr Recorded kOrZero{.when = Recorded::When::always, .unset = "0"};
constexpr Recorded kLater{.when = Recorded::When::always, .later = true};

struct Options {
  RunOptions run;
  DataOptions data;
  ConvOptions conv;
  CalibrationCheckpointOptions checkpoint;
  ModelSource source;
  std::string out;
  ConfigOptions config;
  std::string estimator, quantizer;
  int param_bw = 8, output_bw = 8;
  std::optional<int> edge_bw;
  std::optional<double> percentile;
  std::string data_type = "int", rounding = "nearest", weight_ranges = "fixed";
  std::optional<std::int64_t> block_size;
  std::optional<int> decompressed_bw;
  bool fold_bn = false, fold_bn_in_sim = false, keep_bn = false;
  bool int32_biases = false;
  std::int64_t calibration_images = 1024;

  template <typename V>
  void visit(V& v) {
    source.visit(v, "a float model, *.rung");
    v.required("--out FILE", out, "the quantized model to write, *.rung");
    visit_quantization(v);
    v.group("Images");
    v.option("--dataset NAME", data.dataset,
             "default: the one it was trained on; with --weights fashion-mnist");
    v.option("--calibration-images N", calibration_images,
             "training images that ranges are found with", between(1, 1e9), affects_result);
    data.visit(v);
    checkpoint.visit(v);
    conv.visit(v);
    run.visit(v);
  }

  template <typename V>
  void visit_quantization(V& v) {
    v.group("Quantization");
    v.option("--aimet VERSION", config.aimet,
             "quantize as this version of AIMET does: 2.42 or 2024.10", one_of({"2.42", "2024.10"}),
             affects_result_if_given);
    v.option("--scheme NAME", config.scheme,
             "how ranges are found, see below; default: sqnr, or that version's", check_scheme,
             affects_result);
    v.option("--estimator NAME", estimator, "finds the ranges; default: the scheme's",
             one_of(range_estimator_names()), affects_result_if_given);
    v.option("--quantizer NAME", quantizer,
             "what rung qat trains the parameters of; default: the scheme's",
             one_of(scheme_quantizers()), affects_result_if_given);
    v.option("--param-bw N", param_bw, "bits of weights", between(2, 32), affects_result);
    v.option("--output-bw N", output_bw, "bits of activations", between(2, 32), affects_result);
    v.option("--edge-bw N", edge_bw,
             "bits of the model input, the logits, the first and the last weight layer; "
             "default: as the others",
             between(2, 32), kOrZero);
    v.option("--config NAME|FILE", config.config,
             "where quantizers go: default, per_tensor, others below, or a JSON file as AIMET's",
             {}, affects_result);
    v.option("--percentile P", percentile,
             "scheme percentile: percentage of the numbers to keep at either end", between(50, 100),
             kOrZero);
    v.exclusive_flags(
        {{"--fold-bn", fold_bn, "fold batch norms first (default)"},
         {"--fold-bn-in-sim", fold_bn_in_sim, "quantize folded weights, train batch norms on",
          affects_result},
         {"--keep-bn", keep_bn, "keep batch norms, statistics frozen", affects_result}});
    v.flag("--int32-biases", int32_biases, "simulate the int32 biases that rung export writes",
           affects_result);
    v.option("--data-type NAME", data_type, "int, or float: both bitwidths are then 16 or 32",
             one_of({"int", "float"}), affects_result);
    v.option("--rounding NAME", rounding, "nearest, or stochastic: by chance while rung qat trains",
             one_of({"nearest", "stochastic"}), kLater);
    v.option("--weight-ranges NAME", weight_ranges,
             "fixed, or recomputed: estimated anew at every step of rung qat",
             one_of({"fixed", "recomputed"}), kLater);
    v.option("--block-size N", block_size,
             "a scale per N input channels of weights, where N divides them", between(1, 1e9),
             kOrZero);
    v.option("--decompressed-bw N", decompressed_bw,
             "with --block-size: scales are whole multiples of a channel's (LPBQ)", between(2, 31),
             kOrZero);
  }
};

/// What a calibration keeps for the end: the accuracy of the float model, in percent.
constexpr const char* kTop1Float = "top1_float";

constexpr const char* kDetails =
    R"(Folds batch norms into the layers before them, inserts quantizers where the configuration
says, finds their ranges with training images that are not augmented, and measures the accuracy
before and after. Schemes (AIMET's long names are understood, too):
  tf                    from the smallest to the largest number (AIMET 2.42: min_max)
  sqnr                  the range with the smallest error, searched with a histogram that grows
  tf_enhanced           AIMET's: 2.42 limits the histogram to 2.5 widths of the first batch around
                        it, 2024.10 means sqnr
  percentile            cuts off outliers, see --percentile
  range_learning_tf     as tf; rung qat then trains the ranges. So do range_learning_sqnr and
                        range_learning_tf_enhanced
  lsq_tf                the same; rung qat then trains the scales (LSQ, not AIMET's). So do lsq_sqnr
                        and lsq_tf_enhanced
--estimator and --quantizer replace what a scheme would choose, so that any two go together.
Configurations: default (or per_channel) and per_tensor are ours; aimet_2_42, aimet_2_42_per_tensor,
aimet_2024_per_channel and aimet_2024 are those of AIMET 2.42 and October 2024; htp is 2.42's for
Qualcomm's HTP V73 and later. With --aimet, default, per_channel and per_tensor are that version's,
and a JSON file without the key "rung" goes by its rules. rung inspect --why tells what they led to.
Biases are float in the simulation and int32 in what rung export writes. With --int32-biases they
are rounded in the simulation, too, so that rung qat trains with them and the exported network
computes the simulated codes; without, 4-bit networks may lose accuracy in export.
With --fold-bn-in-sim quantizers see folded weights too, but rung qat goes on training the batch
norms; rung export folds them. With --keep-bn batch norms stay, and rung qat keeps their statistics
as they are.
A calibration that was killed goes on with the same command and --resume, and ends in the same
bytes. SIGINT and SIGTERM save it and end with exit code 3. Accuracies are in percent.

Examples: 4-bit weights and activations, 8 bits at both ends; weights that PyTorch trained
  rung quantize resnet20.rung --scheme range_learning_sqnr
       --param-bw 4 --output-bw 4 --edge-bw 8 --out w4a4.rung
  rung quantize --weights resnet20.pth --model resnet20 --out w8a8.rung
Images need no labels that the model knows: a folder of pictures, or of other classes, will do. The
accuracy is not computed then.
The figures of --json: {"options", "top1_float", "top1_quantized", "quantizers", "warnings": [...],
"hints": [...]}; accuracies that were not computed are null)";

/// Makes the model what is to be quantized; returns a line for each batch norm that stays although
/// it was to be folded.
std::vector<std::string> prepare(Graph& graph, const Options& options) {
  std::vector<ptq::SkippedBatchNorm> skipped;
  if (options.keep_bn)
    freeze_bn_stats(graph);
  else
    skipped = options.fold_bn_in_sim ? ptq::batch_norms_not_simulated(graph)
                                     : ptq::fold_all_batch_norms(graph).skipped;
  std::vector<std::string> lines;
  for (const ptq::SkippedBatchNorm& each : skipped)
    lines.push_back(fmt::format("batch norm {} is not folded: {}", each.batch_norm, each.reason));
  return lines;
}

/// Returns what --scheme, --estimator and --quantizer choose together.
QuantScheme scheme_of(const Options& options) {
  QuantScheme scheme = choose_config(options.config).quant_scheme;
  if (!options.estimator.empty()) scheme.estimator = options.estimator;
  if (!options.quantizer.empty()) {
    scheme.quantizer = options.quantizer;
    scheme.learn = true;
  }
  return scheme;
}

QuantSimOptions sim_options(const Options& options) {
  const ConfigChoice config = choose_config(options.config);
  return {.quant_scheme = scheme_of(options),
          .default_output_bw = options.output_bw,
          .default_param_bw = options.param_bw,
          .default_data_type = options.data_type == "float" ? QuantizationDataType::floating
                                                            : QuantizationDataType::integer,
          .rounding_mode =
              options.rounding == "stochastic" ? RoundingMode::stochastic : RoundingMode::nearest,
          .weight_ranges = options.weight_ranges == "recomputed" ? WeightRanges::recomputed
                                                                 : WeightRanges::fixed,
          .config_file = config.file,
          .config_rules = config.rules,
          .edge_bw = options.edge_bw,
          .batch_norms =
              options.fold_bn_in_sim ? BatchNormMode::fold_in_simulation : BatchNormMode::keep,
          .int32_biases = options.int32_biases};
}

/// Gives weights a scale per block of input channels, where their number allows it.
void set_blocks(QuantizationSimModel& sim, const Options& options) {
  if (!options.block_size) return;
  const std::int64_t size = *options.block_size;
  const NodePredicate fits = [&](const Node& node) {
    const std::optional<Weighted> weighted = node.op().traits().weighted;
    return weighted && weighted->output_axis == 0 &&
           node.inputs()[weighted->weight]->shape()[1] % size == 0;
  };
  if (options.decompressed_bw)
    set_grouped_blockwise_quantization_for_weights(
        sim, fits, {.decompressed_bw = *options.decompressed_bw, .block_size = size});
  else
    set_blockwise_quantization_for_weights(sim, fits, {.block_size = size});
}

struct Simulation {
  QuantizationSimModel sim;
  std::vector<std::string> warnings;
};

/// Makes the simulation of a float model; what is odd about it is warned of.
Simulation simulate(const Graph& graph, const Options& options) {
  Graph prepared = graph.clone();
  std::vector<std::string> warnings = prepare(prepared, options);
  QuantizationSimModel sim(std::move(prepared), sim_options(options));
  const std::vector<std::string> others = sim.warnings();
  warnings.insert(warnings.end(), others.begin(), others.end());
  for (const std::string& warning : warnings) warn(warning);
  if (sim.quantizers().empty())
    throw Error(
        fmt::format("--config {}: quantizes nothing of this model: its defaults, op_type, "
                    "params, model_input and model_output ask for no quantizer",
                    sim.options().config_file));
  set_blocks(sim, options);
  if (options.percentile) sim.set_percentile_value(*options.percentile);
  return {std::move(sim), std::move(warnings)};
}

Settings settings_of(const Options& options, const Data& data, const io::ModelFile& file) {
  Settings settings = recorded(options);
  settings.values.merge(data.settings());
  settings.values["command"] = "quantize";
  settings.values["MODEL"] = io::hash_of(file);
  // A file may have been edited since.
  settings.values["content of --config"] =
      io::hash_of({.graph = {}, .sections = {{"config", read_config(options.config.config)}}});
  // The accuracy of the float model is kept.
  settings.values["--test-images"] = fmt::format("{}", options.data.test_images);
  // Files of earlier versions have them.
  settings.values["--batch-size"] = fmt::format("{}", options.data.batch_size);
  settings.values["--train-images"] = fmt::format("{}", options.data.train_images);
  return settings;
}

/// Throws UsageError for what short floats do not have.
void check_floats(const Options& options) {
  if (options.data_type != "float") return;
  for (const int bits : {options.output_bw, options.param_bw})
    if (bits != 16 && bits != 32)
      throw UsageError(
          fmt::format("--data-type float needs --output-bw and --param-bw of 16 or "
                      "32, got {}",
                      bits));
  if (options.edge_bw) throw UsageError("--edge-bw is for integers only, not --data-type float");
  if (options.int32_biases)
    throw UsageError("--int32-biases is for integers only, not --data-type float");
}

void check(const Options& options) {
  check_floats(options);
  if (options.weight_ranges == "recomputed" && scheme_of(options).learn)
    throw UsageError(fmt::format(
        "--weight-ranges recomputed: --scheme {} learns the ranges of weights, which cannot be "
        "recomputed as well",
        options.config.scheme));
  if (options.percentile && scheme_of(options).estimator != "percentile")
    throw UsageError("--percentile is for --scheme percentile, got " + options.config.scheme);
  if (options.decompressed_bw && !options.block_size)
    throw UsageError("--decompressed-bw needs --block-size");
}

/// Returns the options with the names of what they choose, as checkpoints record them.
Options with_names(Options options) {
  const ConfigChoice choice = choose_config(options.config);
  options.config.config = choice.file;
  options.config.scheme = choice.scheme;
  return options;
}

void run(const Options& given) {
  const Options options = with_names(given);
  check(options);
  begin_run(options.run, {options.out});
  const Console console(options.run.json);
  io::ModelFile file = load_model(options.source, options.data, console);
  if (has_checkpoint(file))
    throw Error(options.source.path() +
                ": is quantized already; give the float model it was made of");
  Task task = task_of(file, options.source.path());
  apply(options.data.normalize, task);
  const Data data(task, options.data, options.run);
  data.check_fits(file.graph);
  data.report_parts(console);
  console.line(describe_preparation(data.task(), options.data.normalize, options.source.path()));
  std::optional<nn::DataLoader> test;
  const std::string unfit = data.labels_unfit();
  // The file to write says what it was calibrated with; of pictures alone that means nothing.
  const Task used = unfit.empty() ? data.task() : task;
  if (unfit.empty())
    test.emplace(data.test());
  else
    console.line(unfit + ": calibration needs no labels, but the accuracy is not computed");
  nn::DataLoader images = data.calibration(options.calibration_images);

  // Before anything runs, so that what the options ask for fails at once if it is not possible.
  auto [sim, warnings] = simulate(file.graph, options);

  const InterruptGuard guard;
  ProgressBar bar("calibration");
  const Settings settings = settings_of(options, data, file);
  quantsim::CalibrationRunOptions run_options =
      calibration_of(options.checkpoint, options.out, settings);
  run_options.on_progress = bar.callback();
  quantsim::Calibration calibration(std::move(run_options));
  if (const std::optional<std::int64_t> batches = calibration.resumed_batches())
    console.line(fmt::format("going on from {}.calibration: batch {}", options.out, *batches));
  if (test && !calibration.note(kTop1Float)) {
    Executor executor(file.graph, {.seed = options.run.seed});
    apply(options.conv, task.conv_choices, executor);
    calibration.set_note(kTop1Float, percent(test_model(executor, *test, "float").top1));
  }
  file.graph = Graph();  // its memory is wanted
  if (!calibration.run(sim, images))
    throw Interrupted(fmt::format("stopped by {} after batch {}: {}", interrupted_by(),
                                  calibration.batches(), kHowToResumeCalibration));
  bar.clear();
  for (const std::string& note : sim.calibration_notes())
    fmt::print(stderr, "rung quantize: note: {}\n", note);
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  const double top1 = test ? percent(test_model(sim.executor(), *test, "quantized").top1) : unknown;
  const auto quantizers = static_cast<std::int64_t>(sim.quantizers().size());
  save_checkpoint(sim, options.out, {.sections = {{kTaskSection, to_json(used)}}, .tensors = {}});
  const double top1_float = calibration.note(kTop1Float).value_or(unknown);
  std::string result =
      fmt::format("{} quantizers, calibrated with {} images", quantizers, images.dataset().size());
  if (test) result += fmt::format(": top1 {:.2f} % float, {:.2f} % quantized", top1_float, top1);
  console.line(result);
  const std::vector<std::string> to_try = hints({.scheme = scheme_of(options),
                                                 .config = options.config.config,
                                                 .param_bw = options.param_bw,
                                                 .output_bw = options.output_bw,
                                                 .edge_bw = options.edge_bw,
                                                 .integers = options.data_type == "int"},
                                                top1_float - top1);
  if (!to_try.empty())
    console.line(fmt::format("W{}A{} lost {:.1f} points: try {}", options.param_bw,
                             options.output_bw, top1_float - top1, fmt::join(to_try, ", ")));
  console.line("wrote " + options.out);
  Report report;
  add_options(settings, report);
  data.report_skipped({&images, test ? &*test : nullptr}, console, report);
  report.set("top1_float", top1_float);
  report.set("top1_quantized", top1);
  report.set("quantizers", quantizers);
  report.set("warnings", warnings);
  report.set("hints", to_try);
  report.write(options.run.json);
  calibration.finish();
}

}  // namespace

void add_quantize(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("quantize", "Simulate a quantized model and calibrate its ranges", kDetails);
  options->visit(command);
  command.also_writes([options] { return files_beside(options->out, options->checkpoint); });
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
