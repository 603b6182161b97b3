#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <vector>

#include "bench/bench_error.h"
#include "bench/bench_ops.h"
#include "bench/bench_subject.h"
#include "bench/bench_tune.h"
#include "commands/subcommands.h"
#include "console/report.h"
#include "run/options.h"
#include "rung/core/parallel.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  BenchOptions bench;
  bool per_op = false, memory = false, tune = false, error = false;
};

constexpr int kWarmUp = 3;  // compiles the plan, fills caches, touches memory

constexpr const char* kDetails =
    R"(Runs on random images; the first 3 steps are not counted.
  train      forward, cross entropy, backward, SGD with momentum 0.9 and weight decay 1e-4
  qat        the same with every quantizer of the configuration at work, in turn with the float
             step; "over_float" is the median of the ratios of the pairs
  infer      forward in evaluation
  calibrate  compute_encodings over 8 batches, the search for the best range included, in turn
             with 8 plain forward passes of the same network and direct convolutions, which
             quantizers are calibrated and evaluated with; times are per batch
  ops        every op alone, forward in training and backward; without a network

Peak memory is the process's: of qat, with --alone, else both networks' together. "others_cpu_s"
is processor time that other processes took meanwhile: figures are worth little if it is not small.

Examples:
  rung bench train --model resnet20 --batch-size 128 --image-size 32 --threads 2
  rung bench qat --model resnet18 --batch-size 16 --image-size 224 --num-classes 1000
  rung bench infer --fold-bn --per-op
  rung bench qat net.onnx --batch-size 32
  rung bench ops --steps 20 --threads 1
The figures of --json: {"model", "mode", "batch", "threads", "median_s", "min_s", "max_s",
"images_per_s", "peak_rss_mib", "others_cpu_s", "plan": {"steps", "reorders", "arena_mib"}},
with qat also "float_median_s" and "over_float", with calibrate "forward_median_s" and
"over_forward"; with ops {"mode", "threads", "ops": [{"op", "forward_s", "backward_s"}]})";

/// Processor time since boot that was not idle, of all processes, in seconds; 0 if unknown.
double busy_seconds() {
  std::ifstream stat("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0;
  if (!(stat >> cpu >> user >> nice >> system)) return 0;
  return (user + nice + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

rusage usage() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

double own_seconds() {
  const rusage u = usage();
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

double time(BenchSubject& subject) {
  const auto begin = std::chrono::steady_clock::now();
  subject.step();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return took.count() / static_cast<double>(subject.batches());
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// One row per step of the plan, then one per kernel.
void print_profile(const Console& console, const Plan& plan) {
  struct Sum {
    double seconds = 0, flops = 0, bytes = 0;
    int steps = 0;
  };
  const std::vector<StepProfile> steps = profile(plan);
  double total = 0;
  for (const StepProfile& step : steps) total += step.seconds;
  const auto line = [&](const std::string& name, const std::string& kernel, const Sum& sum) {
    const bool computes = sum.flops > 0;
    const double rate = (computes ? sum.flops : sum.bytes) / std::max(sum.seconds, 1e-9) * 1e-9;
    console.line(fmt::format("{:<44} {:<30} {:9.3f} ms {:5.1f} %  {:7.1f} {}", name, kernel,
                             sum.seconds * 1e3, 100 * sum.seconds / std::max(total, 1e-12), rate,
                             computes ? "GFLOP/s" : "GB/s"));
  };
  std::map<std::string, Sum> kernels;
  for (const StepProfile& step : steps) {
    line(step.name, step.kernel, {step.seconds, step.flops, step.bytes, 1});
    Sum& sum = kernels[step.kernel];
    sum.seconds += step.seconds;
    sum.flops += step.flops;
    sum.bytes += step.bytes;
    ++sum.steps;
  }
  console.line(fmt::format("by kernel, {:.3f} ms in all:", total * 1e3));
  std::vector<std::pair<std::string, Sum>> sorted(kernels.begin(), kernels.end());
  std::ranges::stable_sort(
      sorted, [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  for (const auto& [kernel, sum] : sorted) line(fmt::format("{} steps", sum.steps), kernel, sum);
}

void run_ops(const Options& options, const Console& console) {
  if (!options.bench.file.empty() || !options.bench.model.empty())
    throw UsageError("ops times single ops: it takes neither FILE nor --model");
  Report report;
  report.set("mode", std::string_view(options.bench.mode));
  report.set("threads", std::int64_t{thread_count()});
  time_ops(options.bench.steps, console, report);
  report.write(options.run.json);
}

void run(const Options& options) {
  begin_run(options.run);
  const Console console(options.run.json);
  if (options.bench.mode == "ops") return run_ops(options, console);
  if (options.tune) return print_conv_rules(console);
  BenchOptions bench = options.bench;
  bench.seed = options.run.seed;
  bench.profile = options.per_op;
  const BenchNetwork network(bench);
  const BenchData data(network, bench);
  if (options.error) print_conv_errors(network, data, console);
  const BenchPair pair = make_bench(network, bench, data);

  std::vector<double> seconds, beside, ratios;
  double others = 0;
  for (std::int64_t i = -kWarmUp; i < bench.steps; ++i) {
    if (i == 0) others = busy_seconds() - own_seconds();
    const double other = pair.beside ? time(*pair.beside) : 0;
    const double own = time(*pair.subject);
    if (i < 0) continue;
    seconds.push_back(own);
    beside.push_back(other);
    ratios.push_back(own / other);
  }
  others = std::max(0.0, busy_seconds() - own_seconds() - others);
  const double images_per_s = static_cast<double>(bench.batch) / median(seconds);
  const double peak_rss_mib = static_cast<double>(usage().ru_maxrss) / 1024;  // Linux: KiB
  const auto [min, max] = std::ranges::minmax(seconds);
  const Plan& plan = pair.subject->executor().plan();
  if (options.per_op) print_profile(console, plan);
  if (options.memory) console.line(memory_report(plan));
  console.line(fmt::format(
      "{} {} batch {} of {}x{}x{}, {} threads: median {:.1f} ms (min {:.1f}, max {:.1f}), {:.0f} "
      "images/s, peak memory {:.0f} MiB",
      network.name(), bench.mode, bench.batch, network.image()[0], network.image()[1],
      network.image()[2], thread_count(), median(seconds) * 1e3, min * 1e3, max * 1e3, images_per_s,
      peak_rss_mib));
  if (pair.beside)
    console.line(fmt::format("beside it, {}: median {:.1f} ms; median of the ratios {:.3f}",
                             pair.beside_name, median(beside) * 1e3, median(ratios)));

  const PlanStats figures = stats(plan);
  Report figures_of_plan;
  figures_of_plan.set("steps", figures.forward_steps + figures.backward_steps);
  figures_of_plan.set("reorders", figures.reorders);
  figures_of_plan.set("arena_mib", static_cast<double>(figures.arena_bytes) / (1 << 20));
  Report report;
  report.set("model", std::string_view(network.name()));
  report.set("mode", std::string_view(bench.mode));
  report.set("batch", bench.batch);
  report.set("threads", std::int64_t{thread_count()});
  report.set("median_s", median(seconds));
  report.set("min_s", min);
  report.set("max_s", max);
  report.set("images_per_s", images_per_s);
  if (pair.beside) {
    report.set(pair.beside_name + "_median_s", median(beside));
    report.set("over_" + pair.beside_name, median(ratios));
  }
  report.set("peak_rss_mib", peak_rss_mib);
  report.set("others_cpu_s", others);
  report.set("plan", figures_of_plan);
  report.write(options.run.json);
}

}  // namespace

void add_bench(Program& program) {
  const auto options = std::make_shared<Options>();
  BenchOptions& bench = options->bench;
  Command command =
      program.command("bench", "Time a step of training, quantization or inference", kDetails);
  command.argument("MODE", bench.mode, "train, qat, infer, calibrate or ops");
  command.optional_argument("FILE", bench.file, "a network of float numbers, *.rung or *.onnx");
  command.group("Model and images");
  command.option("--model NAME", bench.model,
                 "in place of FILE: see rung models; default: resnet20");
  command.option("--batch-size,--batch N", bench.batch, "images per step", at_least(1));
  command.option("--image-size,--size N", bench.size, "height and width of the images; default: 32",
                 at_least(1));
  command.option("--in-channels,--channels N", bench.channels, "of the images; default: 3",
                 at_least(1));
  command.option("--num-classes,--classes N", bench.classes, "of the logits; default: 10",
                 at_least(1));
  command.group("What is timed");
  command.option("--steps N", bench.steps, "timed steps", at_least(1));
  command.group("Quantization");
  command.option("--aimet VERSION", bench.config.aimet, "qat, calibrate: as of rung quantize",
                 one_of({"2.42", "2024.10"}));
  command.option("--scheme NAME", bench.config.scheme, "qat, calibrate: as of rung quantize");
  command.option("--config NAME|FILE", bench.config.config, "qat, calibrate: as of rung quantize");
  command.option("--param-bw N", bench.param_bw, "qat, calibrate: bits of weights", between(2, 32));
  command.option("--output-bw N", bench.output_bw, "qat, calibrate: bits of activations",
                 between(2, 32));
  command.flag("--fold-bn", bench.fold_bn, "qat, infer, calibrate: fold batch norms first");
  command.group("What is timed");
  command.flag("--alone", bench.alone, "qat: no float step in turn with it");
  command.flag("--per-op", options->per_op, "also print time and rate of every step");
  command.flag("--memory", options->memory, "also print the largest buffers and the peak step");
  command.flag("--error", options->error,
               "also print how far each Winograd convolution is from the direct one");
  command.flag("--tune", options->tune,
               "time direct and Winograd's convolutions instead, and print the rules that follow");
  bench.conv.visit(command);
  options->run.visit(command);
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
