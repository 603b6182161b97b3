#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/different.h"
#include "console/interrupt.h"
#include "console/report.h"
#include "run/any_model.h"
#include "run/difference_table.h"
#include "run/normalize.h"
#include "run/options.h"
#include "rung/analysis/tensor_diff.h"
#include "rung/ops/ops.h"
#include "rung/ptq/batch_norm.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  RunOptions run;
  ImageOptions images = {.data = {.test_images = 16}};
  OnnxSource onnx;
  std::string first, second;
  double tolerance = 0.0;
  std::int64_t rows = 20;

  template <typename V>
  void visit(V& v) {
    v.argument("A", first, "a model, *.rung or *.onnx, or a folder of tensors");
    v.argument("B", second, "the same");
    v.option("--tolerance X", tolerance, "numbers a, b are the same if |a - b| <= X max(1, |a|)",
             at_least(0));
    v.option("--rows N", rows, "tensors to show, 0 = all that differ", at_least(0));
    add_onnx_options(v, onnx);
    images.visit(v);
    run.visit(v);
  }
};

constexpr const char* kDetails =
    R"(Says where two networks begin to differ: sends test images through both, compares all tensors in
network order and names the first that differs. A and B are float or quantized models, *.rung or
*.onnx (with QuantizeLinear and DequantizeLinear, too), or folders of tensors: what rung dump has
written for the same images, or NAME.npy files of another tool, images along the first axis; NAME is
that of the value in the graph (behind a quantizer, if there is such a file). Two folders need no
images. A float model's batch norms are folded if the other has none.
Tensors of the same name belong together; between those the others by their position, if they are as
many, of the same types and shapes. It is said how many were matched which way, and what is left.
Columns, for each tensor that differs:
  differ     numbers beyond --tolerance
  by 1, 2, more   numbers by how many codes, where both lie on one grid
  ties       those of them that were within 1e-4 of a step of the middle between two codes before
             they were quantized: rounding noise decides their code
  largest, mean        of |a - b|
  SQNR dB    10 log10(sum a^2 / sum (a - b)^2)
The exit code is 0 if no tensor differs, 1 if one does or there is an error (with a line on stderr),
2 for wrong usage. Tensors that only one of them has are no difference.

Examples:
  rung diff resnet20.rung w8a8.rung --images 100
  rung diff w8a8.rung exported/resnet20_qdq.onnx
  rung diff w8a8.rung dumped_by_onnxruntime --images 8 --tolerance 1e-5
The figures of --json: {"images", "matched_by_name", "matched_by_position", "only_first",
"only_second", "first_difference", "tensors": [{"name", "other_name", "type", "matched_by",
"misfit", "numbers", "different", "largest", "mean", "sqnr_db", "codes": [equal, by 1, 2, more],
"ties", "different_at_ties"}, ...]})";

/// One of the two.
struct Side {
  std::string path;
  std::optional<AnyModel> model = {};
  std::unique_ptr<analysis::TensorSource> source = {};
};

Side open(const std::string& path, const OnnxSource& onnx) {
  std::error_code ignored;
  Side side{.path = path};
  if (!fs::is_directory(path, ignored))
    side.model.emplace(read_any_model(path, onnx));
  else
    side.source = analysis::tensors_in(path);
  return side;
}

bool is_batch_norm(const Node* node) { return node->as<BatchNormalization>() != nullptr; }

bool has_batch_norms(const Side& side) {
  if (side.model) return std::ranges::any_of(side.model->graph.nodes(), is_batch_norm);
  return std::ranges::any_of(side.source->tensors(), [](const auto& each) {
    return each.type == "BatchNormalization" || each.name.ends_with("running_mean");
  });
}

/// Quantized networks have their batch norms folded: that of a layer would be compared with the
/// layer alone.
void fold_if_needed(Side& side, const Side& other, const Console& console) {
  if (!side.model || !has_batch_norms(side) || has_batch_norms(other)) return;
  if (!find_quantizers(side.model->graph).empty()) return;
  ptq::fold_all_batch_norms(side.model->graph);
  console.line(side.path + ": its batch norms are folded, the other has none");
}

/// Returns the network that says what the images are like: the first whose file does.
const AnyModel& speaker(const Side& a, const Side& b) {
  const AnyModel* model = nullptr;
  for (const Side* side : {&a, &b})
    if (side->model && (model == nullptr || (!model->task && side->model->task)))
      model = &*side->model;
  return *model;
}

/// Compares what networks make of the images; returns how many there were.
std::int64_t compare(const Side& a, const Side& b, const Options& options,
                     analysis::TensorDiff& diff, const Console& console, Report& report) {
  const AnyModel& model = speaker(a, b);
  const Data data(task_of(model, options.images), options.images.data, options.run);
  for (const Side* side : {&a, &b})
    if (side->model) data.check_fits(side->model->graph);
  console.line(describe_preparation(data.task(), options.images.data.normalize, model.path));
  nn::DataLoader loader = data.named_without_labels();
  const InterruptGuard guard;
  const std::int64_t images = for_each_batch(
      loader, options.images, a.source->bytes_per_image() + b.source->bytes_per_image(), "diff",
      [&](const Tensor& batch) {
        diff.add({&batch, 1});
      });
  data.report_skipped({&loader}, console, report);
  return images;
}

void run(const Options& options) {
  begin_run(options.run);
  const Console console(options.run.json);
  Side a = open(options.first, options.onnx), b = open(options.second, options.onnx);
  fold_if_needed(a, b, console);
  fold_if_needed(b, a, console);
  for (Side* side : {&a, &b})
    if (side->model) side->source = analysis::tensors_of(side->model->graph);
  analysis::TensorDiff diff(*a.source, *b.source, {.tolerance = options.tolerance});
  Report report;
  std::int64_t images = 0;
  if (a.model || b.model)
    images = compare(a, b, options, diff, console, report);
  else
    diff.add({});
  const analysis::TensorDiffResult result = diff.result();
  console.text(difference_table(result, options.rows));
  report.set("images", images);
  report_differences(result, report);
  report.write(options.run.json);
  if (result.first() != nullptr) throw Different();
}

}  // namespace

void add_diff(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command =
      program.command("diff", "Say where two networks begin to differ, tensor by tensor", kDetails);
  options->visit(command);
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
