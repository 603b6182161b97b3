#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "options.h"
#include "report.h"
#include "rung/core/error.h"
#include "rung/core/parallel.h"
#include "rung/exec/executor.h"
#include "rung/models.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "subcommands.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  std::string mode, model = "resnet20";
  std::int64_t batch = 128, size = 32, channels = 3, classes = 10, steps = 9;
};

constexpr int kWarmUp = 3;  // compiles the plan, fills caches, touches memory

constexpr const char* kDetails =
    R"(Runs on random images; the first 3 steps are not counted.
  train  forward, cross entropy, backward, SGD with momentum 0.9 and weight decay 1e-4
  infer  forward in evaluation

Example:
  rung bench train --model resnet20 --batch 128 --size 32 --channels 3 --threads 2
The figures of --json: {"model", "mode", "batch", "threads", "median_s", "min_s", "max_s",
"images_per_s", "peak_rss_mib", "plan": {"steps", "reorders", "arena_mib"}})";

void run(const Options& options) {
  begin_run(options.run);
  const Console console(options.run.json);
  const Rng rng(options.run.seed);
  Graph graph = models::make(
      options.model,
      {.in_channels = options.channels, .num_classes = options.classes, .image_size = options.size},
      rng.split("init"));
  Executor executor(graph, {.seed = options.run.seed});
  nn::Sgd sgd(graph.parameters(), {.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4});
  Tensor images(Shape{options.batch, options.channels, options.size, options.size});
  Rng draw = rng.split("images");
  for (float& pixel : images.data()) pixel = static_cast<float>(draw.normal());
  std::vector<std::int64_t> labels;
  for (std::int64_t n = 0; n < options.batch; ++n)
    labels.push_back(
        static_cast<std::int64_t>(draw.below(static_cast<std::uint64_t>(options.classes))));

  const auto step = [&] {
    if (options.mode == "infer") {
      (void)executor.forward(images);
      return;
    }
    const nn::Loss loss = nn::cross_entropy(executor.forward(images, Mode::train), labels);
    sgd.zero_grad();
    executor.backward(loss.gradient);
    sgd.step();
  };
  std::vector<double> seconds;
  for (std::int64_t i = -kWarmUp; i < options.steps; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    step();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (i >= 0) seconds.push_back(took.count());
  }
  std::ranges::sort(seconds);
  const double median = seconds[seconds.size() / 2];
  const double images_per_s = static_cast<double>(options.batch) / median;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double peak_rss_mib = static_cast<double>(usage.ru_maxrss) / 1024;  // Linux: KiB
  const PlanStats plan = stats(executor.plan());
  console.line(fmt::format(
      "{} {} batch {} of {}x{}x{}, {} threads: median {:.1f} ms (min {:.1f}, max {:.1f}), {:.0f} "
      "images/s, peak memory {:.0f} MiB",
      options.model, options.mode, options.batch, options.channels, options.size, options.size,
      thread_count(), median * 1e3, seconds.front() * 1e3, seconds.back() * 1e3, images_per_s,
      peak_rss_mib));

  Report figures_of_plan;
  figures_of_plan.set("steps", plan.forward_steps + plan.backward_steps);
  figures_of_plan.set("reorders", plan.reorders);
  figures_of_plan.set("arena_mib", static_cast<double>(plan.arena_bytes) / (1 << 20));
  Report report;
  report.set("model", std::string_view(options.model));
  report.set("mode", std::string_view(options.mode));
  report.set("batch", options.batch);
  report.set("threads", std::int64_t{thread_count()});
  report.set("median_s", median);
  report.set("min_s", seconds.front());
  report.set("max_s", seconds.back());
  report.set("images_per_s", images_per_s);
  report.set("peak_rss_mib", peak_rss_mib);
  report.set("plan", figures_of_plan);
  report.write(options.run.json);
}

}  // namespace

void add_bench(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command = program.command("bench", "Time a step of training or inference", kDetails);
  command.argument("MODE", options->mode, "train or infer");
  command.option("--model NAME", options->model, "see rung models");
  command.option("--batch N", options->batch, "images per step", at_least(1));
  command.option("--size N", options->size, "height and width of the images", at_least(1));
  command.option("--channels N", options->channels, "of the images", at_least(1));
  command.option("--classes N", options->classes, "of the logits", at_least(1));
  command.option("--steps N", options->steps, "timed steps", at_least(1));
  add_run_options(command, options->run);
  command.action([options] {
    if (options->mode != "train" && options->mode != "infer")
      throw Error("MODE must be train or infer, got " + options->mode);
    run(*options);
  });
}

}  // namespace rung::cli
