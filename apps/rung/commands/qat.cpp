#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands/subcommands.h"
#include "console/interrupt.h"
#include "console/report.h"
#include "run/data.h"
#include "run/model_source.h"
#include "run/options.h"
#include "run/qat_recipe.h"
#include "run/saving.h"
#include "run/task.h"
#include "run/training.h"
#include "run/training_log.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/quantsim.h"
#include "rung/quantsim/range_watch.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  DataOptions data;
  QatRecipe qat;
  ConvOptions conv;
  CheckpointOptions checkpoint;
  LogOptions log;
  std::optional<int> freeze_bn_after;
  std::string model, out;

  template <typename V>
  void visit(V& v) {
    v.argument("MODEL", model, "a quantized model, *.rung");
    v.group("Model");
    v.required("--out FILE", out, "the fine-tuned model to write, *.rung");
    qat.visit(v);
    v.group("Training");
    v.option("--freeze-bn-after N", freeze_bn_after,
             "batch norms keep their statistics after N epochs; default: never", between(0, 1e6),
             {.when = Recorded::When::always, .unset = "never"});
    v.option("--batch-size N", data.batch_size, "images per step", between(1, 1e6), affects_result);
    v.group("Images");
    v.option("--dataset NAME", data.dataset,
             "see rung datasets; default: the one that the model was made for");
    v.option("--train-images N", data.train_images, "use the first N training images, 0 = all",
             at_least(0), affects_result);
    data.visit(v);
    data.validation.visit(v);
    checkpoint.visit(v);
    log.visit(v);
    conv.visit_with_autotune(v);
    run.visit(v);
  }
};

std::vector<std::string> outputs_of(const Options& options) {
  std::vector<std::string> files = files_of(options.log);
  files.push_back(options.out);
  return files;
}

constexpr const char* kDetails =
    R"(Goes on training with the quantizers in place, so that the weights get used to them. The
defaults follow AIMET's recipe: a learning rate of the order of the last one of float training
(recorded by rung train; at most 0.005), divided by 10 every 5 epochs; 15 to 20 epochs give the
best result, a few do most of the work. Ranges are trained as well if the model was quantized with
a range learning scheme: at --lr-encodings, without weight decay. They are delicate: rates that
fixed ranges bear can make them collapse, which is warned of, once for each quantizer. Batch norms
of a model made with --fold-bn-in-sim are trained, too; their statistics can be kept for the last
epochs, which are calmer then. Accuracies are in percent. Validation images, checkpoints, --resume,
signals and curves: as of rung train.

Example: two epochs
  rung qat w4a4.rung --epochs 2 --lr 0.004 --schedule cosine --out w4a4_qat.rung
The figures of --json: as of rung train, "top1_before" (of the validation images if there are any),
"warnings")";

Settings settings_of(const Options& options, const Data& data, const io::ModelFile& file) {
  Settings settings = recorded(options);
  settings.values.merge(data.settings());
  settings.values["command"] = "qat";
  settings.values["MODEL"] = io::hash_of(file);
  return settings;
}

std::vector<std::string> warnings_of(RangeWatch& watch) {
  std::vector<std::string> warnings;
  for (const CollapsedRange& each : watch.check())
    warnings.push_back(fmt::format("quantizer {}: {}; try a lower --lr-encodings or --lr",
                                   each.quantizer, each.reason));
  return warnings;
}

/// Returns how often the model is right before it is trained: on the validation images if there are
/// any, since the test images are for the end.
double top1_before(nn::Checkpoints& checkpoints, Executor& executor, nn::DataLoader& loader) {
  constexpr const char* kNote = "top1_before";
  std::optional<double> before = checkpoints.note(kNote);
  if (!before) before = percent(test_model(executor, loader, "before").top1);
  checkpoints.set_note(kNote, *before);
  return *before;
}

void run(Options options) {
  check(options.qat.recipe);
  settle(options.data, options.checkpoint);
  check(options.log, !options.checkpoint.resume.empty());
  begin_run(options.run, outputs_of(options));
  const Console console(options.run.json);
  io::ModelFile file = read_quantized_model(options.model);
  const Data data =
      data_for(file, options.model, Purpose::training, options.data, options.run, console);
  Task task = data.task();  // the file to write says what it was trained on
  const InterruptGuard guard;
  const Settings settings = settings_of(options, data, file);
  nn::Checkpoints checkpoints(checkpoints_of(options.checkpoint, options.out, settings));
  tell_resumed(checkpoints, console);
  QuantizationSimModel start = load_checkpoint(std::move(file), options.model);
  std::optional<QuantizationSimModel> resumed;
  if (std::optional<io::ModelFile> checkpoint = checkpoints.take_resumed())
    resumed.emplace(load_checkpoint(std::move(*checkpoint), checkpoints.resumed_path()));
  QuantizationSimModel& sim = resumed ? *resumed : start;
  sim.executor().set_seed(options.run.seed);
  const auto choices = apply(options.conv, task.conv_choices, sim.executor());

  const double lr = first_lr(options.qat, task);
  const auto optimizer = make_optimizer(options.qat.recipe, groups_of(sim, options.qat, lr));
  nn::DataLoader train = data.train(sim.graph(), augmentation_of(options.qat.recipe), console);
  std::optional<nn::DataLoader> validation = data.validation();
  nn::DataLoader test = data.test();

  const double before = top1_before(checkpoints, sim.executor(), validation ? *validation : test);
  console.line(fmt::format(
      "{} on {}: {} training images, {} epochs, lr {:.3g}, ranges {}; top1 before {:.2f} %",
      task.model, data.task().dataset, train.dataset().size(), options.qat.recipe.epochs, lr,
      sim.options().quant_scheme.learn ? fmt::format("learned at {:.3g}", optimizer->lr(1))
                                       : std::string("fixed"),
      before));
  Report report;
  add_options(settings, report);
  report.set("top1_before", before);
  const auto freeze_bn = [&](std::int64_t epoch) {
    if (options.freeze_bn_after == epoch) freeze_bn_stats(sim.graph());
  };
  const nn::SaveModel save = [&](const std::string& path, io::ModelExtras extras) {
    if (choices) task.conv_choices = *choices;
    extras.sections[kTaskSection] = to_json(task);
    save_checkpoint(sim, path, std::move(extras));
  };
  RangeWatch ranges(sim.graph(), start.graph());
  const auto test_saved = [&](const std::string& path, nn::DataLoader& loader) {
    QuantizationSimModel saved = load_checkpoint(io::load_model(path), path);
    apply(options.conv, task.conv_choices, saved.executor());
    return test_model(saved.executor(), loader, "test");
  };
  run_training({.executor = sim.executor(),
                .train = train,
                .validation = validation ? &*validation : nullptr,
                .test = test,
                .optimizer = *optimizer,
                .recipe = options.qat.recipe,
                .data = data,
                .patience = options.data.validation.patience,
                .out = options.out,
                .json = options.run.json,
                .log = options.log,
                .resumes = !options.checkpoint.resume.empty(),
                .checkpoints = checkpoints,
                .save = save,
                .test_saved = test_saved,
                .before_epoch = freeze_bn,
                .watch = [&] { return warnings_of(ranges); }},
               console, report);
}

}  // namespace

void add_qat(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("qat", "Fine-tune a quantized model: quantization-aware training", kDetails);
  options->visit(command);
  command.also_writes([options] {
    std::vector<std::string> files = files_beside(options->out, options->checkpoint,
                                                  options->data.validation.patience.has_value());
    if (!options->log.log_dir.empty()) files.push_back(options->log.log_dir);
    return files;
  });
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
