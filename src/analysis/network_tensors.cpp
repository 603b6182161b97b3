#include "analysis/network_tensors.h"

#include <algorithm>
#include <set>

#include "core/check.h"
#include "ops/quantize/value_quantizer.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::analysis {
namespace {

bool is_quantizer(const Node* node) {
  return node != nullptr && node->as<QuantizeDequantize>() != nullptr;
}

/// Returns the quantizer that all readers of a value read through; nullptr if there is none.
Node* quantizer_of_all(const Graph& graph, const Value& value) {
  if (Node* node = value_quantizer(value)) return node;
  if (graph.is_output(value) || value.uses().empty()) return nullptr;
  Node* first = value.uses()[0].node;
  const bool all = std::ranges::all_of(value.uses(), [&](const Use& use) {
    return use.index == 0 && is_quantizer(use.node) &&
           std::ranges::equal(use.node->inputs().subspan(1), first->inputs().subspan(1));
  });
  return all ? first : nullptr;
}

/// Returns what the numbers behind a quantizer mean, if they are codes.
std::optional<Encoding> codes_of(const QuantizerHandle& quantizer) {
  if (!quantizer.initialized() || !quantizer.op().quantizer().runs_fused()) return std::nullopt;
  const Encoding encoding = quantizer.encoding();
  return encoding.is_float() ? std::nullopt : std::optional(encoding);
}

class Finder {
 public:
  explicit Finder(const Graph& graph) : graph_(graph) {}

  std::vector<NetworkTensor> run() {
    for (const Value* input : graph_.inputs()) {
      data_.insert(input);
      add(*input, "input");
    }
    for (const Node* node : graph_.nodes()) {
      const bool on_data =
          std::ranges::any_of(node->inputs(), [&](const Value* v) { return data_.contains(v); });
      if (on_data) data_.insert(node->outputs().begin(), node->outputs().end());
      if (is_quantizer(node)) continue;
      for (const Value* input : node->inputs()) add_read(*input);
      for (const Value* output : node->outputs()) add(*output, std::string(node->type()));
    }
    for (const Value* output : graph_.outputs()) add_read(*output);
    return std::move(tensors_);
  }

 private:
  /// Adds what an operation reads and no operation has computed: parameters, and what quantizers on
  /// its edges make.
  void add_read(const Value& value) {
    const Value* source = &value;
    while (is_quantizer(source->producer())) source = source->producer()->inputs()[0];
    if (source->parameter() != nullptr) add(*source, "parameter");
    const Node* node = value.producer();
    if (!is_quantizer(node) || node->inputs()[0] != source) return;
    const QuantizerHandle quantizer(*value.producer());
    if (quantizer_of_all(graph_, *source) != nullptr || !quantizer.works()) return;
    put(value, {.name = quantizer.name(), .type = "edge"}, &quantizer);
  }

  void add(const Value& value, std::string type) {
    const Parameter* parameter = value.parameter();
    if (parameter != nullptr && parameter->role() == Role::encoding) return;
    NetworkTensor tensor{.name = value.name(), .type = std::move(type)};
    Node* node = quantizer_of_all(graph_, value);
    if (node == nullptr) return put(value, std::move(tensor), nullptr);
    const QuantizerHandle quantizer(*node);
    if (quantizer.works())
      put(node->output(), std::move(tensor), &quantizer);
    else
      put(value, std::move(tensor), nullptr);
  }

  void put(const Value& numbers, NetworkTensor tensor, const QuantizerHandle* quantizer) {
    if (!seen_.insert(&numbers).second) return;
    tensor.value = numbers.name();
    tensor.shape = numbers.shape();
    const Value& source = quantizer == nullptr ? numbers : quantizer->source();
    tensor.fixed = !data_.contains(&source);
    if (quantizer != nullptr) {
      tensor.before = source.name();
      tensor.encoding = codes_of(*quantizer);
    }
    tensors_.push_back(std::move(tensor));
  }

  const Graph& graph_;
  std::set<const Value*> data_, seen_;
  std::vector<NetworkTensor> tensors_;
};

}  // namespace

std::vector<NetworkTensor> network_tensors(const Graph& graph) { return Finder(graph).run(); }

TensorRun::TensorRun(Graph& graph)
    : graph_(graph), tensors_(network_tensors(graph)), executor_(graph) {
  require(!graph.inputs().empty() && graph.inputs()[0]->shape().rank() > 0,
          "a network without an input with images cannot run");
  std::set<std::string> watched;
  std::int64_t bytes = 0;
  const auto watch = [&](const std::string& name) {
    if (name.empty()) return;
    const Value& value = graph.value(name);
    const Node* node = value.producer();
    const bool is_given =
        node == nullptr || (is_quantizer(node) && node->inputs()[0]->parameter() != nullptr);
    if (value.is_input() || !is_given) {
      if (watched.insert(name).second) bytes += value.shape().numel() * 4;
    }
  };
  for (const NetworkTensor& each : tensors_) {
    watch(each.value);
    watch(each.before);
  }
  executor_.watch({watched.begin(), watched.end()});
  bytes_per_image_ = bytes / std::max<std::int64_t>(1, graph.inputs()[0]->shape()[0]);
}

void TensorRun::run(std::span<const Tensor> inputs) { (void)executor_.forward(inputs); }

Tensor TensorRun::read(const std::string& name) const {
  const Value& value = graph_.value(name);
  if (value.parameter() != nullptr) return value.parameter()->value().clone();
  Node* node = value.producer();
  if (is_quantizer(node) && node->inputs()[0]->parameter() != nullptr)
    return QuantizerHandle(*node).quantize_dequantize(node->inputs()[0]->parameter()->value());
  return executor_.value(name);
}

Tensor TensorRun::numbers(const NetworkTensor& tensor) const { return read(tensor.value); }

Tensor TensorRun::before(const NetworkTensor& tensor) const { return read(tensor.before); }

}  // namespace rung::analysis
