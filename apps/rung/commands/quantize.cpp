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
#include "run/data.h"
#include "run/encodings.h"
#include "run/model_source.h"
#include "run/options.h"
#include "run/saving.h"
#include "run/simulation.h"
#include "run/task.h"
#include "run/training.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/quantsim/config.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  DataOptions data;
  ConvOptions conv;
  SimulationOptions simulation;
  EncodingsOptions encodings;
  CalibrationCheckpointOptions checkpoint;
  ModelSource source;
  std::string out;
  std::int64_t calibration_images = 1024;

  template <typename V>
  void visit(V& v) {
    source.visit(v, "a float model, *.rung");
    v.required("--out FILE", out, "the quantized model to write, *.rung");
    simulation.visit(v);
    encodings.visit(v);
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
and a JSON file that names no rules ("rung": {"rules": ...}) goes by that version's; one that names
another's is refused. rung inspect --why tells what they led to.
Biases are float in the simulation and int32 in what rung export writes. With --int32-biases they
are rounded in the simulation, too, so that rung qat trains with them and the exported network
computes the simulated codes; without, 4-bit networks may lose accuracy in export.
With --fold-bn-in-sim quantizers see folded weights too, but rung qat goes on training the batch
norms; rung export folds them. With --keep-bn batch norms stay, and rung qat keeps their statistics
as they are.
With --encodings no images are needed, and the accuracy is not computed: rung eval does. Modules
that AIMET's prepare_model named (module_add_1) are matched by their position.
A calibration that was killed goes on with the same command and --resume, and ends in the same
bytes. SIGINT and SIGTERM save it and end with exit code 3. Accuracies are in percent.

Examples: 4-bit weights and activations, 8 bits at both ends; weights that PyTorch trained
  rung quantize resnet20.rung --scheme range_learning_sqnr
       --param-bw 4 --output-bw 4 --edge-bw 8 --out w4a4.rung
  rung quantize --weights resnet20.pth --model resnet20 --out w8a8.rung
  rung quantize resnet20.rung --encodings aimet.encodings --out w8a8.rung
Images need no labels that the model knows: a folder of pictures, or of other classes, will do. The
accuracy is not computed then.
The figures of --json: {"options", "top1_float", "top1_quantized", "quantizers", "warnings": [...],
"hints": [...]}; accuracies that were not computed are null. With --encodings: {"encodings":
{"loaded": [...], "missing": [...], "skipped": [...], "renamed": {...}}, "quantizers", "warnings"})";

Settings settings_of(const Options& options, const Data& data, const io::ModelFile& file) {
  Settings settings = recorded(options);
  settings.values.merge(data.settings());
  settings.values["command"] = "quantize";
  settings.values["MODEL"] = io::hash_of(file);
  // A file may have been edited since.
  settings.values["content of --config"] = io::hash_of(
      {.graph = {}, .sections = {{"config", read_config(options.simulation.config.config)}}});
  // The accuracy of the float model is kept.
  settings.values["--test-images"] = fmt::format("{}", options.data.test_images);
  // Files of earlier versions have them.
  settings.values["--batch-size"] = fmt::format("{}", options.data.batch_size);
  settings.values["--train-images"] = fmt::format("{}", options.data.train_images);
  return settings;
}

/// Says what to try where much of the accuracy was lost; returns that.
std::vector<std::string> tell_hints(const SimulationOptions& options, double lost,
                                    const Console& console) {
  std::vector<std::string> to_try = hints({.scheme = scheme_of(options),
                                           .per_channel = per_channel_of(options.config.config),
                                           .param_bw = options.param_bw,
                                           .output_bw = options.output_bw,
                                           .edge_bw = options.edge_bw,
                                           .integers = options.data_type == "int"},
                                          lost);
  if (!to_try.empty())
    console.line(fmt::format("W{}A{} lost {:.1f} points: try {}", options.param_bw,
                             options.output_bw, lost, fmt::join(to_try, ", ")));
  return to_try;
}

/// Makes a sim with the ranges of a file.
void run_with_encodings(const Options& options, const io::ModelFile& file, const Task& task,
                        const Console& console) {
  auto [sim, warnings] = simulate(file.graph, options.simulation);
  Report report;
  load_encodings(options.encodings, sim, console, report);
  save_checkpoint(sim, options.out, {.sections = {{kTaskSection, to_json(task)}}, .tensors = {}});
  console.line("wrote " + options.out);
  report.set("quantizers", static_cast<std::int64_t>(sim.quantizers().size()));
  report.set("warnings", warnings);
  report.write(options.run.json);
}

void run(const Options& given) {
  Options options = given;
  options.simulation = with_names(options.simulation);
  check(options.simulation);
  begin_run(options.run, {options.out});
  const Console console(options.run.json);
  io::ModelFile file = load_model(options.source, options.data, console);
  if (has_checkpoint(file))
    throw Error(options.source.path() +
                ": is quantized already; give the float model it was made of");
  Task task = task_of(file, options.source.path());
  apply(options.data.normalize, task);
  if (!options.encodings.file.empty()) return run_with_encodings(options, file, task, console);
  const Data data = data_for(file, options.source.path(), Purpose::calibrating, options.data,
                             options.run, console);
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
  auto [sim, warnings] = simulate(file.graph, options.simulation);

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
  const std::vector<std::string> to_try =
      tell_hints(options.simulation, top1_float - top1, console);
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
  command.only_for("--skip-unknown", "--encodings",
                   [options] { return !options->encodings.file.empty(); });
  command.also_writes([options] { return files_beside(options->out, options->checkpoint); });
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
