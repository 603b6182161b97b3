#include "rung/analysis/dump.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/interrupt.h"
#include "console/report.h"
#include "run/any_model.h"
#include "run/normalize.h"
#include "run/options.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  ImageOptions images = {.data = {.test_images = 1}};
  OnnxSource onnx;
  std::string model, out, format = "npy";
  bool codes = false;

  template <typename V>
  void visit(V& v) {
    v.argument("MODEL", model, "a model, *.rung or *.onnx");
    v.required("--out DIR", out, "the folder to write; an earlier dump is replaced");
    v.option("--format NAME", format, "npy: a file for each tensor; safetensors: one for all",
             one_of({"npy", "safetensors"}));
    v.flag("--codes", codes, "write quantized tensors as whole numbers");
    add_onnx_options(v, onnx);
    images.visit(v);
    run.visit(v);
  }
};

constexpr const char* kDetails =
    R"(Writes what every part of a network computes for some test images: inputs, weights and the
outputs of all operations, as those get them that read them, behind their quantizers. Images lie
along the first axis; what does not depend on them is there once. DIR/index.json says in network
order for each tensor:
  {"name": as in the graph, "type", "file", "dtype", "shape", "fixed", "codes", "encoding":
   {"bitwidth", "qmin", "qmax", "scale": [...], "offset": [...], "axis", "blocks"} or null}
where a number is (code + offset) * scale, with a scale for each channel along "axis". Names of
files have "_" in place of what is no letter, digit, "." or "-". Batches go through one at a time,
so that memory is bounded whatever --images is. The folder appears complete or not at all; one with
anything but a dump in it is refused.

Examples:
  rung dump w4a4.rung --images 8 --out dumped
  rung dump w4a4.rung --codes --format safetensors --out codes
  rung dump net_qdq.onnx --dataset cifar10 --out dumped
The figures of --json: {"tensors", "images"})";

void run(const Options& options) {
  begin_run(options.run);
  const Console console(options.run.json);
  AnyModel model = read_any_model(options.model, options.onnx);
  const Data data(task_of(model, options.images), options.images.data, options.run);
  data.check_fits(model.graph);
  console.line(describe_preparation(data.task(), options.images.data.normalize, options.model));
  using Format = analysis::DumpOptions::Format;
  analysis::Dump dump(model.graph, options.out,
                      {.format = options.format == "npy" ? Format::npy : Format::safetensors,
                       .codes = options.codes});
  nn::DataLoader loader = data.named_without_labels();
  const InterruptGuard guard;
  const std::int64_t images = for_each_batch(loader, options.images, dump.bytes_per_image(), "dump",
                                             [&](const Tensor& batch) {
                                               dump.add({&batch, 1});
                                             });
  Report report;
  data.report_skipped({&loader}, console, report);
  const std::int64_t tensors = dump.finish();
  console.line(fmt::format("wrote {}: {} tensors for {} image{}", options.out, tensors, images,
                           images == 1 ? "" : "s"));
  report.set("tensors", tensors);
  report.set("images", images);
  report.write(options.run.json);
}

}  // namespace

void add_dump(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("dump", "Write every tensor of a network for some images", kDetails);
  options->visit(command);
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
