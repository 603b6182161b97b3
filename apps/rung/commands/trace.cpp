#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "commands/subcommands.h"
#include "console/interrupt.h"
#include "console/report.h"
#include "run/class_scores.h"
#include "run/data.h"
#include "run/json_text.h"
#include "run/model_source.h"
#include "run/options.h"
#include "run/qat_recipe.h"
#include "run/quantizer_trace.h"
#include "run/task.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/io/text_file.h"
#include "rung/nn/trainer.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  DataOptions data;
  QatRecipe qat;
  std::string model, quantizer, out;
  std::int64_t steps = 200;

  template <typename V>
  void visit(V& v) {
    v.argument("MODEL", model, "a quantized model, *.rung");
    v.argument("QUANTIZER", quantizer, "the quantizer's name, see rung inspect MODEL");
    v.required("--out FILE", out, "the recorded steps to write, *.json");
    v.option("--steps N", steps, "record so many steps, or fewer if training ends before",
             between(1, 100'000));
    qat.visit(v);
    v.option("--batch-size N", data.batch_size, "images per step", between(1, 1e6));
    v.group("Images");
    v.option("--dataset NAME", data.dataset,
             "see rung datasets; default: the one that the model was made for");
    v.option("--train-images N", data.train_images, "use the first N training images, 0 = all",
             at_least(0));
    data.visit(v);
    run.visit(v);
  }
};

constexpr const char* kDetails =
    R"(Trains the model as rung qat does, for a few steps, and writes what one quantizer does in each:
min, max, scale and offset, the gradients of what it learns, the share of numbers clipped below and
above, the squared error by rounding and by clipping, a histogram of what it quantizes, and the loss
of the batch. The model is left as it was. The page of rung teach plays the file.

Example: a range that learns
  rung quantize f.rung --scheme range_learning_tf --param-bw 4 --output-bw 4 --out w4a4.rung
  rung trace w4a4.rung layer1.0.relu1 --steps 300 --out relu1.json
  rung teach --trace relu1.json --out page
The file: {"model", "dataset", "lr", "lr_encodings", "batch_size", "quantizer", "kind", "bitwidth",
"symmetry", "learned", "steps": [{"loss", "min": [...], "max": [...], "scale": [...], "offset":
[...], "gradient": {"min": [...], ...}, "clipped_below": [...], "clipped_above": [...],
"rounding": [...], "clipping": [...], "histogram": {"range": [...], "counts": [...]}}, ...]}, a
line for each step and a number for each channel; gradients are those before --clip-grad-norm.
The figures of --json: {"quantizer", "steps", "loss": of the last step})";

/// Trains until enough steps are recorded, and returns the loss of the last one.
double train(const Options& options, QuantizationSimModel& sim, nn::DataLoader& loader,
             nn::Optimizer& optimizer, QuantizerTrace& trace) {
  const ClassScores scores(sim.graph());
  const nn::LossFunction loss =
      scores.loss(sim.executor(), {.label_smoothing = options.qat.recipe.label_smoothing});
  double last = 0;
  const auto remembered = [&](std::span<const Tensor> outputs, const nn::Batch& batch) {
    nn::LossOfOutputs result = loss(outputs, batch);
    last = result.value;
    return result;
  };
  ProgressBar bar("trace");
  const auto wanted = static_cast<std::size_t>(options.steps);
  nn::Trainer trainer(sim.executor(), loader, remembered, optimizer,
                      {.epochs = options.qat.recipe.epochs,
                       .schedule = make_schedule(options.qat.recipe),
                       .check_numerics = check_numerics(options.qat.recipe),
                       .clip_grad_norm = options.qat.recipe.clip_grad_norm,
                       .stop = [&] { return trace.steps() >= wanted; },
                       .after_backward = [&](std::int64_t) { trace.record(last); },
                       .on_progress =
                           [&](const nn::Progress& progress) {
                             bar.update(progress);
                             throw_if_interrupted();
                           }});
  trainer.run();
  return last;
}

void run(const Options& options) {
  check(options.qat.recipe);
  begin_run(options.run, {options.out});
  const Console console(options.run.json);
  io::ModelFile file = read_quantized_model(options.model);
  const Data data =
      data_for(file, options.model, Purpose::training, options.data, options.run, console);
  const Task& task = data.task();
  const InterruptGuard guard;
  QuantizationSimModel sim = load_checkpoint(std::move(file), options.model);
  sim.executor().set_seed(options.run.seed);
  ClassScores(sim.graph()).watch(sim.executor());  // before the trace adds what it wants to see
  QuantizerTrace trace(sim, options.quantizer);

  const double lr = first_lr(options.qat, task);
  const auto optimizer = make_optimizer(options.qat.recipe, groups_of(sim, options.qat, lr));
  nn::DataLoader loader = data.train(sim.graph(), augmentation_of(options.qat.recipe), console);
  const double loss = train(options, sim, loader, *optimizer, trace);

  const std::string notes =
      fmt::format("\"model\":{},\"dataset\":{},\"lr\":{},\"lr_encodings\":{},\"batch_size\":{},",
                  json_string(task.model), json_string(task.dataset), json_number(lr),
                  json_number(optimizer->lr(1)), options.data.batch_size);
  io::write_text_file(options.out, trace.json(notes));
  const auto steps = static_cast<std::int64_t>(trace.steps());
  console.line(fmt::format("{}: {} steps, loss of the last one {}", trace.quantizer().name(), steps,
                           shown_loss(loss)));
  Report report;
  report.set("quantizer", trace.quantizer().name());
  report.set("steps", steps);
  report.set("loss", loss);
  data.report_skipped({&loader}, console, report);
  report.write(options.run.json);
  console.line("wrote " + options.out);
}

}  // namespace

void add_trace(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("trace", "Record what a quantizer does in training, step by step", kDetails);
  options->visit(command);
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
