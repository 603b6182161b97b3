#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/report.h"
#include "console/table.h"
#include "run/graphviz.h"
#include "run/network_table.h"
#include "run/onnx_source.h"
#include "run/options.h"
#include "run/task.h"
#include "run/why.h"
#include "rung/analysis/dot.h"
#include "rung/core/error.h"
#include "rung/exec/executor.h"
#include "rung/io/file_kind.h"
#include "rung/io/model_file.h"
#include "rung/io/pth.h"
#include "rung/io/safetensors.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

struct Options {
  std::string file, mode = "both", after, drawing, json;
  bool nodes = false, plan = false, why = false;
  std::int64_t batch = 128;
  OnnxSource onnx;
};

constexpr const char* kDetails =
    R"(Prints the network in lines of at most 100 columns: a row for each layer with its type, the
shape of its output, its parameters, multiplications (of Conv, ConvTranspose, Gemm and MatMul, per
image), bytes of its parameters (as quantized) and quantizers, below it the attributes that are no
defaults; a row for each quantizer with its range; and sums. Long names are shortened in the middle.
--nodes prints a line for each node instead, in full, with what it reads and all attributes. Of
weights (safetensors, PyTorch checkpoints) it prints the tensors. What a file is, its content says,
whatever its name.
With --plan it prints instead what the engine makes of the graph: the steps of a forward and a
backward pass, their kernels and memory layouts, and where results lie in memory; with --after what
is known after one of the passes that make the plan. With --why it
prints instead for every tensor of a quantized model whether it has a quantizer, and which setting
of the configuration gave it or took it away; of quantizers that came with an ONNX file that they
did.
--graph also draws the network: *.dot is a text in Graphviz's language, *.svg the picture that
Graphviz (its program dot, if it is installed) makes of it.

Examples:
  rung inspect w4a4.rung
  rung inspect w4a4.rung --why
  rung inspect w4a4.rung --graph w4a4.svg
  rung inspect resnet20.rung --plan --batch-size 32 --mode train
The figures of --json: {"bytes", "nodes", "parameters": {"weight", ...}, "quantizers": [...],
"layers": [{"name", "type", "output_shape", "attributes", "parameters", "macs", "float_bytes",
"bytes", "quantizers"}], "macs", "parameter_bytes": {"float", "quantized"}}, of a model that a
configuration quantized also "config" and "rules", with --why "placement": [{"tensor", "quantizer",
"place", "state", "rules": [{"setting", "says"}], "by_hand", "precision_rule", "symmetric_rule",
"per_channel_rule"}], the last rule having decided)";

constexpr std::array kRoles = {Role::weight, Role::bias, Role::norm, Role::encoding, Role::buffer};

std::int64_t count(const Graph& graph, Role role) {
  std::int64_t elements = 0;
  for (const Parameter* parameter : graph.parameters(role)) elements += parameter->value().numel();
  return elements;
}

/// File is a SafetensorsFile or a PthFile.
template <typename File>
void print_tensors(const File& file, const Options& options, const Console& console) {
  if (options.plan) throw Error(options.file + ": holds plain weights, no graph to plan");
  if (options.why) throw Error(options.file + ": holds plain weights, no quantizers to explain");
  if (!options.drawing.empty())
    throw Error(options.file + ": holds plain weights, no graph to draw");
  using Kind = Column::Kind;
  Table table(
      {{"tensor", Kind::text, 16}, {"type"}, {"shape", Kind::text, 16}, {"numbers", Kind::number}});
  std::int64_t numbers = 0;
  for (const auto& tensor : file.tensors()) {
    table.row({tensor.name, std::string(io::to_string(tensor.dtype)), tensor.shape.to_string(),
               with_commas(tensor.shape.numel())});
    numbers += tensor.shape.numel();
  }
  console.text(table.text());
  console.line(fmt::format("{} tensors, {} numbers", file.tensors().size(), with_commas(numbers)));
}

Report describe(const QuantizerHandle& quantizer) {
  Report report;
  report.set("name", quantizer.name());
  report.set("bitwidth", std::int64_t{quantizer.bitwidth()});
  report.set("symmetry", to_string(quantizer.symmetry()));
  if (!quantizer.initialized() || quantizer.op().quantizer().pass_through()) return report;
  const Encoding encoding = quantizer.encoding();
  report.set("channels", encoding.channels());
  report.set("scale", std::vector<double>(encoding.scale.begin(), encoding.scale.end()));
  report.set("offset", encoding.offset);
  return report;
}

void print_plans(Graph& graph, const Options& options, const Console& console) {
  Executor executor(graph);
  std::vector<Shape> inputs;
  for (const Value* input : graph.inputs()) inputs.push_back(input->shape().with(0, options.batch));
  for (const auto& [name, mode] :
       {std::pair{"train", Mode::train}, std::pair{"eval", Mode::eval}}) {
    if (options.mode != "both" && options.mode != name) continue;
    console.line(fmt::format("plan for {}, batch {}", name, options.batch));
    console.text(options.after.empty() ? to_string(executor.plan(inputs, mode))
                                       : plan_after(options.after, graph, inputs, mode));
  }
}

std::string sizes(const Graph& graph) {
  std::vector<std::string> parts;
  for (const Role role : kRoles)
    if (const std::int64_t elements = count(graph, role))
      parts.push_back(fmt::format("{} {}", elements, to_string(role)));
  return fmt::format("{} nodes; numbers by role: {}", graph.nodes().size(), fmt::join(parts, ", "));
}

/// Prints a line for each node and for each quantizer, with all there is to say.
void print_nodes(const Graph& graph, const Console& console) {
  console.text(graph.to_string());
  console.line(sizes(graph));
}

void print_layers(const Graph& graph, const Console& console) {
  const analysis::NetworkSummary network = analysis::summarize(graph);
  console.text("\n" + layer_table(network));
  if (const std::string quantizers = quantizer_table(graph); !quantizers.empty())
    console.text("\n" + quantizers);
  console.text("\n" + totals(network));
}

void report_graph(const Graph& graph, Report& report) {
  report.set("nodes", static_cast<std::int64_t>(graph.nodes().size()));
  Report parameters;
  for (const Role role : kRoles) parameters.set(to_string(role), count(graph, role));
  report.set("parameters", parameters);
  report.set("quantizers", std::vector<std::string>{});
  for (const QuantizerHandle& quantizer : find_quantizers(graph))
    report.append("quantizers", describe(quantizer));
  report_network(analysis::summarize(graph), report);
}

void run_model(io::ModelFile file, const Options& options, const Console& console, Report& report) {
  if (options.why && !has_checkpoint(file))
    throw Error(options.file + ": has no quantizers to explain; --why needs a quantized model");
  const bool shows_graph = !options.plan && !options.why;
  if (shows_graph && file.sections.contains(kTaskSection)) {
    const Task task = task_of(file, options.file);
    console.line(fmt::format("{} for {}, {} classes", task.model, task.dataset, task.num_classes));
  }
  if (!options.drawing.empty()) write_drawing(options.drawing, analysis::to_dot(file.graph));
  report_graph(file.graph, report);
  if (options.plan) {
    print_plans(file.graph, options, console);
    return;
  }
  std::optional<QuantizationSimModel> sim;
  const bool is_quantized = has_checkpoint(file);
  if (is_quantized) sim.emplace(load_checkpoint(std::move(file), options.file));
  const Graph& graph = sim ? sim->graph() : file.graph;
  if (sim && shows_graph && !options.nodes) console.text(quantization_of(*sim));
  if (shows_graph && options.nodes)
    print_nodes(graph, console);
  else if (shows_graph)
    print_layers(graph, console);
  if (!sim) return;
  if (!sim->is_imported()) {  // else they only hold for what comes later
    report.set("config", sim->options().config_file);
    report.set("rules", name_of(sim->config().rules));
  }
  if (options.why) print_why(*sim, console, report);
  if (!options.nodes) return;
  std::ostringstream table;
  table << *sim;
  console.text(table.str());
}

/// Reads all numbers: a checkpoint has checksums.
void check(const io::PthFile& file) {
  for (const io::PthTensor& tensor : file.tensors()) (void)file.bytes(tensor.name);
}

void run(const Options& options) {
  if (!options.after.empty() && !options.plan)
    throw UsageError("--after is about the plan: add --plan");
  const Console console(options.json);
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(options.file, error);
  if (error) throw Error(fmt::format("{}: cannot open: {}", options.file, error.message()));
  const io::FileKind kind = io::file_kind(options.file);
  const bool is_known = kind.format == io::FileFormat::model ||
                        kind.format == io::FileFormat::onnx || kind.format == io::FileFormat::pth ||
                        kind.format == io::FileFormat::safetensors;
  if (!is_known)
    throw Error(fmt::format(
        "{}: is {}; expected a model, *.rung or *.onnx, or weights, *.safetensors or *.pth",
        options.file, kind.what));
  if (!options.plan && !options.why)
    console.line(fmt::format("{}: {}, {} bytes", options.file, kind.what, bytes));
  Report report;
  report.set("bytes", static_cast<std::int64_t>(bytes));
  if (kind.format != io::FileFormat::onnx) check_no_onnx_options(options.file, options.onnx);
  if (kind.format == io::FileFormat::onnx) {
    run_model(load_onnx(options.file, options.onnx), options, console, report);
  } else if (kind.format == io::FileFormat::model) {
    run_model(io::load_model(options.file), options, console, report);
  } else if (kind.format == io::FileFormat::pth) {
    const io::PthFile file(options.file);
    check(file);
    print_tensors(file, options, console);
  } else {
    print_tensors(io::SafetensorsFile(options.file), options, console);
  }
  report.write(options.json);
}

}  // namespace

void add_inspect(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command = program.command("inspect", "Show what is in a file", kDetails);
  command.argument("FILE", options->file, "a model, *.rung or *.onnx, or weights");
  command.exclusive_flags(
      {{"--nodes", options->nodes, "print a line for each node, in full"},
       {"--plan", options->plan, "print the compiled plan"},
       {"--why", options->why, "print why each tensor has a quantizer, or none"}});
  command.option("--batch-size,--batch N", options->batch, "of the plan", between(1, 1e6));
  command.option("--mode NAME", options->mode, "of the plan: train, eval or both",
                 one_of({"train", "eval", "both"}));
  command.option("--after PASS", options->after, "of the plan: how it is after this pass",
                 one_of(plan_passes()));
  add_onnx_options(command, options->onnx);
  command.group("Output");
  command.option("--graph FILE", options->drawing,
                 "also draw the network, *.dot or, with Graphviz, *.svg", check_drawing_name);
  command.option("--json FILE", options->json, "write the figures as JSON, - = standard output");
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
