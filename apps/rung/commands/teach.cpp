#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "apps/teaching/page.h"
#include "commands/subcommands.h"
#include "console/console.h"
#include "console/report.h"
#include "run/data.h"
#include "run/json_text.h"
#include "run/layer_sample.h"
#include "run/model_source.h"
#include "run/options.h"
#include "run/task.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/io/text_file.h"
#include "rung/ptq/batch_norm.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  RunOptions run;
  DataOptions data;
  std::string out, model, trace, sample;
  std::vector<std::string> layers;

  template <typename V>
  void visit(V& v) {
    v.required("--out DIR", out, "the folder to write quantizer.html into; it is created");
    v.group("Numbers");
    v.option("--model FILE", model,
             "show layers of this model, *.rung; default: those of a ResNet-8 that come along");
    v.option("--layer NAME", layers,
             "a layer to show, Conv or Gemm; may be given more than once; default: the first, the "
             "middle and the last one");
    v.option("--trace FILE", trace, "play these steps, which rung trace has recorded");
    v.option("--sample FILE", sample, "also write the layers' numbers as JSON");
    v.only_for("--layer", "--model", [this] { return !model.empty(); });
    v.only_for("--sample", "--model", [this] { return !model.empty(); });
    v.group("Images");
    v.option("--dataset NAME", data.dataset,
             "see rung datasets; default: the one that the model was made for");
    data.visit(v);
    run.visit(v);
  }
};

constexpr const char* kDetails =
    R"(Writes DIR/quantizer.html, a page for lectures and for trying things out: what quantization
does to a number, which gradients pass, how a range is found and learned, what is clipped and what
is rounded in a layer of a trained network, per tensor and per channel, and how large sums of
products get. One file that needs nothing else: open it in a browser. It computes as the library
does, to the bit. With --model it shows layers of a model of yours (float weights, batch norms
folded, and what the layers read for some training images), with --trace a run of yours.

Example:
  rung teach --out page
  rung teach --model resnet20.rung --layer conv1 --layer fc --out page
The figures of --json: {"files": [...], "bytes"})";

/// Returns the float model as its quantizers see it.
Graph shown_graph(io::ModelFile file, const std::string& path) {
  if (has_checkpoint(file)) return load_checkpoint(std::move(file), path).get_original_model();
  ptq::fold_all_batch_norms(file.graph);
  return std::move(file.graph);
}

/// Returns the JSON of a model's layers.
std::string sample_of(const Options& options, const Console& console) {
  io::ModelFile file = read_model_file(options.model);
  const Data data =
      data_for(file, options.model, Purpose::looking, options.data, options.run, console);
  const Task& task = data.task();
  Graph graph = shown_graph(std::move(file), options.model);
  const std::vector<const Node*> layers = layers_to_show(graph, options.layers);
  constexpr std::int64_t kImages = 16;
  nn::DataLoader loader = data.calibration(kImages);
  std::string text;
  for (const nn::Batch& batch : loader.take(1)) text = sample_layers(graph, layers, batch.images);
  if (text.empty()) throw Error(options.model + ": none of the images could be read");
  return fmt::format("{{\"model\":{},\"dataset\":{},\n\"layers\":{}}}\n", json_string(task.model),
                     json_string(task.dataset), text);
}

std::string page_of(const Options& options) {
  return (fs::path(options.out) / "quantizer.html").string();
}

void run(const Options& options) {
  std::error_code error;
  fs::create_directories(options.out, error);
  if (error)
    throw Error(fmt::format("cannot create the folder {}: {}", options.out, error.message()));
  const std::string path = page_of(options);
  std::vector<std::string> files = {path};
  if (!options.sample.empty()) files.push_back(options.sample);
  begin_run(options.run, files);
  const Console console(options.run.json);
  std::string sample(teaching::sample()), trace(teaching::trace());
  if (!options.trace.empty())
    trace = json_for_page(options.trace, io::read_text_file(options.trace));
  if (!options.model.empty()) sample = sample_of(options, console);
  const std::string page = teaching::page(sample, trace);
  io::write_text_file(path, page);
  if (!options.sample.empty()) io::write_text_file(options.sample, sample);
  Report report;
  report.set("files", files);
  report.set("bytes", static_cast<std::int64_t>(page.size()));
  report.write(options.run.json);
  for (const std::string& file : files) console.line("wrote " + file);
}

}  // namespace

void add_teach(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command = program.command(
      "teach", "Write a page that shows what quantization does to numbers", kDetails);
  options->visit(command);
  command.also_writes([options] { return std::vector{page_of(*options)}; });
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
