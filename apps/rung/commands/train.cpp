#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands/subcommands.h"
#include "console/interrupt.h"
#include "console/report.h"
#include "run/data.h"
#include "run/initial_weights.h"
#include "run/options.h"
#include "run/saving.h"
#include "run/task.h"
#include "run/training.h"
#include "run/training_log.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/models.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  DataOptions data{.dataset = "fashion-mnist"};
  ConvOptions conv;
  Recipe recipe;
  CheckpointOptions checkpoint;
  LogOptions log;
  double lr = 0.1;
  std::optional<std::int64_t> image_size;
  InitOptions init;
  std::string model, out;

  template <typename V>
  void visit(V& v) {
    v.group("Model");
    v.required("--model NAME", model, "see rung models", affects_result);
    v.required("--out FILE", out, "the model file to write, *.rung");
    v.option("--image-size N", image_size,
             "image-folder: height and width of what the model gets; default: 224",
             between(1, 4096));
    init.visit(v);
    v.group("Training");
    v.option("--lr X", lr, "initial learning rate", at_least(0), affects_result);
    v.option("--batch-size N", data.batch_size, "images per step", between(1, 1e6), affects_result);
    recipe.visit(v);
    v.group("Images");
    v.option("--dataset NAME", data.dataset, "see rung datasets");
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
    R"(Images are normalized, shifted and mirrored (--no-augment: only normalized). Those of an
image-folder, with a sub-folder per class, are cut out at random, resized and mirrored, as
torchvision's models are trained; for a test they are resized and their middle is used. The file
that --out names also says what the model was made for, so that no later command has to
be told again; it appears when training has ended. Accuracies are in percent.

The test images are looked at once, at the end. What is chosen on the way, the best epoch
(--keep-best) or when to stop (--patience), is chosen by validation images: a part of the training
images that is held out (--val-split; the same --seed holds out the same ones), images of a folder
(--val-data), or those in val of a folder with train, val and test.

Until training has ended checkpoints are written, to OUT.checkpoints. A run that was killed at any
moment goes on with the same command and --resume auto, and ends in the same bytes as if it had not
been (with the same number of threads). SIGINT and SIGTERM finish the step, write a checkpoint and
end with exit code 3; a second signal ends the run at once. After an error (a full disk, a loss that
is not finite) the checkpoints stay. Each is a model, too: rung export writes its weights for
--init, so that a run with a lower --lr can start there.

--log-dir DIR writes what TensorBoard shows. Of each step loss/step, top1/step, top5/step, lr and
gradient_norm (before --clip-grad-norm); of each epoch loss, top1 and top5 with /train and
/validation, the weights as histograms, and of each quantizer of activations range_min/NAME,
range_max/NAME and the ends of its ranges as a histogram; of the test images /test. metrics.csv has
a line for each epoch, run.txt names the model. A run that goes on with --resume first removes what
was written after its checkpoint, so that no step is there twice.

Example: a ResNet-20 in 20 epochs
  rung train --model resnet20 --epochs 20 --lr 0.1 --schedule cosine --out resnet20.rung
Example: the weights of another task, with a new head for the classes of this one
  rung train --model resnet18 --dataset image-folder --data photos --init resnet18-f37072fd.pth
       --lr 0.01 --out photos.rung
Example: curves for TensorBoard (tensorboard --logdir runs), a folder for each run
  rung train --model resnet20 --log-dir runs/resnet20 --out resnet20.rung
Example: your own images in photos/train/CLASS/*.jpg and photos/val/CLASS/*.jpg
  rung train --model resnet18 --dataset image-folder --data photos --out photos.rung
The figures of --json, which are written after each epoch:
  {"options": {"--epochs": "20", ...},
   "epochs": [{"loss", "top1_train", "top5_train", "loss_val", "top1_val", "top5_val", "seconds",
   "lr", "images_per_s"}, ...],
   "best": {"epoch", "top1_val", "top1"}, "top5", "top1", "skipped"}
  options: those that the result depends on, as checkpoints record them
  top1_train: while training, on augmented images; top5: of more than five classes; loss_val,
  top1_val, top5_val and seconds: with validation images;
  best: with --keep-best; top1: of the test images; skipped: with --skip-corrupt)";

constexpr std::int64_t kUsualSize = 224;  // of models for ImageNet

/// Returns the size of the model's images: the dataset's, or as asked if those are of any size.
std::int64_t image_size(const Options& options, const datasets::DatasetInfo& dataset) {
  if (has_any_size(dataset)) return options.image_size.value_or(kUsualSize);
  const std::int64_t size = dataset.image_shape[1];
  if (options.image_size.value_or(size) != size)
    throw Error(fmt::format("--image-size {}: {} has images of {}x{}", *options.image_size,
                            dataset.name, size, dataset.image_shape[2]));
  return size;
}

Graph new_model(const Options& options, const datasets::DatasetInfo& dataset, const Task& task,
                const Console& console) {
  const models::ModelOptions model{.in_channels = dataset.image_shape[0],
                                   .num_classes = dataset.classes,
                                   .image_size = task.image_size};
  Graph graph = models::make(options.model, model, Rng(options.run.seed).split("init"));
  load_initial_weights(graph, options.model, model, options.init, console);
  return graph;
}

Settings settings_of(const Options& options, const Data& data) {
  Settings settings = recorded(options);
  settings.values.merge(data.settings());
  settings.values["command"] = "train";
  settings.values["--image-size"] = fmt::format("{}", data.task().image_size);
  return settings;
}

void run(Options options) {
  settle(options.data, options.checkpoint);
  check(options.recipe);
  check_init_options(options.init);
  check(options.log, !options.checkpoint.resume.empty());
  begin_run(options.run, outputs_of(options));
  const Console console(options.run.json);
  const datasets::DatasetInfo dataset = datasets::info(options.data.dataset, options.data.dir);
  if (dataset.classes == 0)
    throw Error(
        dataset.name == "npy"
            ? fmt::format("{}: there is no labels.npy, which training needs", options.data.dir)
            : fmt::format("{}: has no sub-folders; expected one per class, with its images",
                          options.data.dir));
  Task task = make_task(options.model, dataset, image_size(options, dataset));
  apply(options.data.normalize, task);
  task.last_lr = make_schedule(options.recipe)(options.lr, options.recipe.epochs - 0.5);

  const InterruptGuard guard;
  Data data(task, options.data, options.run);
  data.divide();
  const Settings settings = settings_of(options, data);
  nn::Checkpoints checkpoints(checkpoints_of(options.checkpoint, options.out, settings));
  tell_resumed(checkpoints, console);
  std::optional<io::ModelFile> resumed = checkpoints.take_resumed();
  if (resumed) task = task_of(*resumed, checkpoints.resumed_path());
  Graph graph = resumed ? std::move(resumed->graph) : new_model(options, dataset, task, console);
  data.check_fits(graph);
  data.report_parts(console);
  console.line(describe_preparation(data.task(), options.data.normalize, ""));
  nn::DataLoader train = data.train(graph, augmentation_of(options.recipe), console);
  std::optional<nn::DataLoader> validation = data.validation();
  nn::DataLoader test = data.test();
  console.line(fmt::format(
      "{} on {}: {} training{} and {} test images, {} epochs, seed {}", options.model, task.dataset,
      train.dataset().size(),
      validation ? fmt::format(", {} validation", validation->dataset().size()) : std::string(),
      test.dataset().size(), options.recipe.epochs, options.run.seed));

  Executor executor(graph, {.seed = options.run.seed});
  const auto choices = apply(options.conv, task.conv_choices, executor);
  const auto optimizer = make_optimizer(
      options.recipe, {{graph.parameters(), options.lr, options.recipe.weight_decay}});
  Report report;
  add_options(settings, report);
  const nn::SaveModel save = [&](const std::string& path, io::ModelExtras extras) {
    if (choices) task.conv_choices = *choices;
    extras.sections[kTaskSection] = to_json(task);
    io::save_model(path, graph, extras);
  };
  const auto test_saved = [&](const std::string& path, nn::DataLoader& loader) {
    io::ModelFile file = io::load_model(path);
    Executor saved(file.graph, {.seed = options.run.seed});
    apply(options.conv, task.conv_choices, saved);
    return test_model(saved, loader, "test");
  };
  run_training({.executor = executor,
                .train = train,
                .validation = validation ? &*validation : nullptr,
                .test = test,
                .optimizer = *optimizer,
                .recipe = options.recipe,
                .data = data,
                .patience = options.data.validation.patience,
                .out = options.out,
                .json = options.run.json,
                .log = options.log,
                .resumes = !options.checkpoint.resume.empty(),
                .checkpoints = checkpoints,
                .save = save,
                .test_saved = test_saved},
               console, report);
}

}  // namespace

void add_train(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("train", "Train a model from scratch or from weights", kDetails);
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
