#include "rung/quantsim/export_notes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "core/check.h"
#include "graph/layer.h"
#include "ops/linear/bias_scales.h"
#include "quantsim/batch_norms/batch_norm_fold.h"
#include "quantsim/bias_room.h"
#include "rung/core/rng.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung {

namespace {

/// Returns the range that the first working quantizer behind a value has.
std::optional<Range> range_behind(const Value& value) {
  for (const Use& use : value.uses())
    if (const auto* op = use.node->as<QuantizeDequantize>(); op != nullptr && use.index == 0 &&
                                                             op->enabled() && op->initialized() &&
                                                             !op->quantizer().pass_through()) {
      const Encoding encoding = op->encoding(quantizer_parameters(*use.node));
      if (!encoding.is_float()) return encoding.effective_range();
    }
  return std::nullopt;
}

/// Returns normal numbers, three standard deviations of which reach the ends of the input's range.
Tensor random_input(const Graph& graph, const Shape& shape) {
  const Range range = range_behind(*graph.inputs()[0]).value_or(Range{-3.0f, 3.0f});
  Tensor x(shape);
  Rng rng(1);
  for (float& v : x.data())
    v = 0.5f * (range.min + range.max) +
        (range.max - range.min) / 6.0f * static_cast<float>(rng.normal());
  return x;
}

double decibels(std::span<const float> y, std::span<const float> moved) {
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    signal += double{y[i]} * double{y[i]};
    noise += (double{moved[i]} - double{y[i]}) * (double{moved[i]} - double{y[i]});
  }
  return noise == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(signal / noise);
}

bool has_int32_biases(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(),
                             [](const Node* node) { return !bias_scales(*node).empty(); });
}

/// Measures with random inputs, of as many images as the network takes; none if it takes none.
std::optional<double> measured_sqnr(const QuantizationSimModel& sim) {
  if (sim.graph().inputs().size() != 1) return std::nullopt;
  const Shape& own = sim.graph().inputs()[0]->shape();
  for (const Shape& shape : {own.rank() > 0 ? own.with(0, 8) : own, own}) try {
      const Tensor x = random_input(sim.graph(), shape);
      return int32_bias_sqnr(sim, {&x, 1});
    } catch (const Error&) {
      // The batch is part of the model, or its input is of a kind of its own.
    }
  return std::nullopt;
}

std::optional<std::string> moved_outputs(const QuantizationSimModel& sim) {
  if (sim.options().int32_biases || !has_int32_biases(sim.graph())) return std::nullopt;
  const std::optional<double> sqnr = measured_sqnr(sim);
  if (sqnr && std::isinf(*sqnr))
    return std::string("biases are int32 in the file: on random inputs no output moves");
  return fmt::format(
      "biases are int32 in the file and float in the simulation{}; simulated int32 biases make "
      "both the same, float biases leave the file as simulated",
      sqnr ? fmt::format(": on random inputs its outputs are {:.1f} dB (signal to noise) from the "
                         "simulated ones",
                         *sqnr)
           : std::string());
}

/// Names biases that have no int32 codes although their ops are between quantizers.
void add_float_biases(const Graph& graph, std::vector<std::string>& notes) {
  for (const Node* node : graph.nodes()) {
    const std::vector<float> scales = bias_scales(*node);
    if (scales.empty()) continue;
    const Value& bias = *bias_value(*node);
    const auto values = bias.parameter()->value().data();
    bool fits = true;
    for (std::size_t c = 0; c < values.size(); ++c)
      fits = fits && bias_code(values[c], scales[scales.size() == 1 ? 0 : c]).has_value();
    if (bias.uses().size() > 1)
      notes.push_back(
          fmt::format("{}: stays float, because {} ops read it", bias.name(), bias.uses().size()));
    else if (!fits)
      notes.push_back(
          fmt::format("{}: stays float, because int32 cannot hold it at the scales of "
                      "the input and the weight of {}",
                      bias.name(), node->name()));
  }
}

/// The fused Softmax of ONNX Runtime writes 0 where a code would be above 255.
void add_softmaxes(const Graph& graph, std::vector<std::string>& notes) {
  for (const Node* node : graph.nodes()) {
    if (node->type() != "Softmax") continue;
    const std::optional<Range> range = range_behind(node->output());
    if (!range || range->max > 0.99f) continue;
    notes.push_back(fmt::format(
        "{}: its range ends at {:.3g}; ONNX Runtime's fused Softmax turns larger numbers into 0: "
        "give it the range 0 .. 1 (encoding_constraints of Softmax in the configuration)",
        node->output().name(), range->max));
  }
}

/// Files with 4-bit types do not load everywhere.
void add_packed(const Graph& graph, std::vector<std::string>& notes) {
  const bool any = std::ranges::any_of(graph.nodes(), [](const Node* node) {
    const auto* op = node->as<QuantizeDequantize>();
    return op != nullptr && op->enabled() && op->quantizer().bitwidth() <= 4;
  });
  if (any)
    notes.emplace_back(
        "packed 4-bit codes: ONNX Runtime 1.32 does not load every such file with its default "
        "settings; codes in bytes have the same numbers and do");
}

}  // namespace

double int32_bias_sqnr(const QuantizationSimModel& sim, std::span<const Tensor> inputs) {
  require(sim.graph().inputs().size() == 1,
          "int32_bias_sqnr: the network has {} inputs, it must have one",
          sim.graph().inputs().size());
  Graph graph = sim.graph().clone();
  if (sim.options().int32_biases) return std::numeric_limits<double>::infinity();
  std::vector<std::vector<float>> before, after;
  for (const bool rounds : {false, true}) {
    graph.set_int32_biases(rounds);
    Executor executor(graph);
    std::vector<std::vector<float>>& all = rounds ? after : before;
    all.resize(graph.outputs().size());
    for (const Tensor& x : inputs) {
      const std::vector<Tensor> y = executor.forward({&x, 1});
      for (std::size_t i = 0; i < y.size(); ++i)
        all[i].insert(all[i].end(), y[i].data().begin(), y[i].data().end());
    }
  }
  double lowest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < before.size(); ++i)
    lowest = std::min(lowest, decibels(before[i], after[i]));
  return lowest;
}

std::vector<std::string> export_notes(const QuantizationSimModel& sim,
                                      const ExportOptions& options) {
  std::vector<std::string> notes;
  if (!options.export_model || !options.export_qdq_onnx) return notes;
  Graph graph = quantsim::folded_copy(sim.graph());
  if (options.export_int32_bias.value_or(true)) {
    notes = quantsim::make_room_for_biases(graph, quantsim::Frozen::changed);
    if (auto note = moved_outputs(sim)) notes.push_back(std::move(*note));
    add_float_biases(graph, notes);
  }
  add_softmaxes(graph, notes);
  if (options.onnx_codes == io::OnnxCodes::packed) add_packed(graph, notes);
  return notes;
}

}  // namespace rung
