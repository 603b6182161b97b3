#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "commands/subcommands.h"
#include "console/messages.h"
#include "console/report.h"
#include "run/class_scores.h"
#include "run/class_table.h"
#include "run/data.h"
#include "run/model_source.h"
#include "run/options.h"
#include "run/task.h"
#include "run/training.h"
#include "rung/io/model_file.h"
#include "rung/io/safetensors.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  DataOptions data;
  ConvOptions conv;
  ModelSource source;
  std::string outputs;
  std::int64_t rows = 20;
};

constexpr const char* kDetails =
    R"(Works on float models and on quantized ones, which are simulated. Accuracies are in percent; top1
is that of the largest score, top5 (of more than five classes) of the five largest. A tie is wrong
where it decides, and so is an image whose outputs have NaN. Then a row for each class, the worst
ones first, with what its images are most often taken for; of at most 12 classes also the confusion
matrix: a row for each class, a column for each that its images are taken for.

Examples:
  rung eval resnet20.rung
  rung eval --weights resnet20.pth --model resnet20
  rung eval net.rung --data photos --mean 0.5 --std 0.5
The file of --outputs has one tensor, outputs [images, classes], in the order of the images.
The figures of --json:
  {"top1", "top5", "loss", "images_per_s", "class_names": [...], "class_images": [...],
   "class_top1": [...], "confusion_matrix": [[...], ...], "without_prediction"}
  class_...: by label; confusion_matrix: images by [label][taken for])";

void run(const Options& options) {
  begin_run(options.run, options.outputs.empty() ? std::vector<std::string>()
                                                 : std::vector<std::string>{options.outputs});
  const Console console(options.run.json);
  io::ModelFile file = load_model(options.source, options.data, console);
  const Data data =
      data_for(file, options.source.path(), Purpose::measuring, options.data, options.run, console);
  nn::DataLoader loader = data.named();
  Executor executor(file.graph, {.seed = options.run.seed});
  apply(options.conv, data.task().conv_choices, executor);
  std::vector<float> outputs;
  ClassTable classes(data.task().num_classes, data.task().class_names);
  const TestMetrics metrics = test_model(
      executor, loader, "test",
      {.on_output =
           [&](const Tensor& output) {
             if (!options.outputs.empty())
               outputs.insert(outputs.end(), output.data().begin(), output.data().end());
           },
       .on_scores = [&](const Tensor& scores,
                        std::span<const std::int64_t> labels) { classes.update(scores, labels); }});
  if (!options.outputs.empty()) {
    const Shape shape{metrics.images, data.task().num_classes};
    io::save_safetensors(options.outputs, {.tensors = {{"outputs", Tensor(shape, outputs)}}});
    console.line("wrote " + options.outputs);
  }
  if (const std::string end = ClassScores(file.graph).activation(); !end.empty())
    console.line(
        fmt::format("the model ends in {}: the loss is that of the numbers before it", end));
  if (metrics.probabilities)
    console.line(fmt::format("{}: the loss is that of their logarithms", kProbabilities));
  const double images_per_s = static_cast<double>(metrics.images) / metrics.seconds;
  const std::string top5 =
      metrics.top5 ? fmt::format("  top5 {:.2f} %", percent(*metrics.top5)) : std::string();
  console.text(classes.text(options.rows));
  if (const std::int64_t count = classes.without_prediction(); count > 0)
    warn(fmt::format("the outputs of {} images have NaN: they count as wrong", count));
  console.line(fmt::format("{} on {} test images of {}: top1 {:.2f} %{}  loss {}  {:.0f} images/s",
                           has_checkpoint(file) ? "quantized model" : "float model", metrics.images,
                           data.task().dataset, percent(metrics.top1), top5,
                           shown_loss(metrics.loss), images_per_s));
  Report report;
  data.report_skipped({&loader}, console, report);
  report.set("top1", percent(metrics.top1));
  if (metrics.top5) report.set("top5", percent(*metrics.top5));
  report.set("loss", metrics.loss);
  report.set("images_per_s", images_per_s);
  classes.add_to(report);
  report.write(options.run.json);
}

}  // namespace

void add_eval(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("eval", "Measure the accuracy of a model on the test images", kDetails);
  options->source.visit(command, "a model file, *.rung");
  command.group("Images");
  command.option("--dataset NAME", options->data.dataset,
                 "default: the one it was trained on; with --weights fashion-mnist");
  options->data.visit(command);
  command.option("--outputs FILE", options->outputs,
                 "write what the model answers to each image, *.safetensors");
  command.option("--rows N", options->rows, "classes to show, 0 = all", at_least(0));
  options->conv.visit(command);
  options->run.visit(command);
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
