#include "quantsim/files/derived_entries.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "io/onnx/constant_names.h"
#include "ops/quantize/constant_product.h"
#include "quantsim/placement/supergroups.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::quantsim {

namespace {

using io::TensorEncoding;

/// Returns the tensor that a value is but for quantizers.
const Value& tensor_of(const Value& value) {
  const Value* tensor = &value;
  while (tensor->producer() != nullptr && tensor->producer()->as<QuantizeDequantize>() != nullptr)
    tensor = tensor->producer()->inputs()[0];
  return *tensor;
}

bool is_clipping(const Node& node) {
  return node.type() == "Clip" || node.type() == "Max" || node.type() == "Min";
}

/// True for ops whose outputs are numbers of their inputs. Padding with other numbers counts, as in
/// AIMET: it is never where the range ends.
bool moves_numbers(const Node& node) {
  static constexpr std::array<std::string_view, 3> kOthers = {"Concat", "Pad", "Where"};
  return node.op().traits().grid_preserving() || is_clipping(node) ||
         std::ranges::find(kOthers, node.type()) != kOthers.end();
}

/// The entries of a file, those that are there and those that follow.
class Derivation {
 public:
  Derivation(const Graph& graph, std::span<const TensorEncoding> known) {
    for (const TensorEncoding& entry : known) entries_.emplace(entry.name, entry);
    for (const Node* node : graph.nodes())
      if (node->as<QuantizeDequantize>() == nullptr) ops_.push_back(node);
    for (const Node* node : ops_)
      for (const std::string& input : inputs_of(*node)) ++readers_[input];
  }

  std::vector<DerivedEntry> run() {
    for (const Node* node : ops_) rescale(*node);
    for (const Node* node : ops_)
      if (moves_numbers(*node)) move(*node);
    // What was found behind an op says more about those before it.
    for (auto node = ops_.rbegin(); node != ops_.rend(); ++node)
      if (moves_numbers(**node)) move(**node);
    return std::move(derived_);
  }

 private:
  /// Returns the names of the tensors that an op reads in our ONNX files, those of numbers.
  static std::vector<std::string> inputs_of(const Node& node) {
    std::vector<std::string> names;
    for (const Value* input : node.inputs()) names.push_back(tensor_of(*input).name());
    if (node.type() == "Where") names.erase(names.begin());  // the condition
    for (std::string& constant : io::onnx_number_constants(node))
      names.push_back(std::move(constant));
    return names;
  }

  const TensorEncoding* find(const std::string& name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
  }
  static bool same(const TensorEncoding* a, const TensorEncoding* b) {
    if (a == nullptr || b == nullptr) return a == b;
    TensorEncoding renamed = *b;
    renamed.name = a->name;
    return *a == renamed;
  }

  void add(const std::string& name, TensorEncoding entry, const Node& op, bool is_backward) {
    entry.name = name;
    entries_.insert_or_assign(name, entry);
    derived_.push_back({std::move(entry), &op, is_backward});
  }

  /// Returns the entry of the nearest tensor before, through ops that keep the grid.
  const TensorEncoding* entry_before(const Value& value) const {
    const Value* tensor = &tensor_of(value);
    while (find(tensor->name()) == nullptr) {
      const Node* producer = tensor->producer();
      if (producer == nullptr || !producer->op().traits().grid_preserving()) return nullptr;
      tensor = &tensor_of(*producer->inputs()[0]);
    }
    return find(tensor->name());
  }

  void rescale(const Node& node) {
    const auto product = constant_product(node);
    if (!product || find(node.output().name()) != nullptr ||
        find(product->constant->name()) != nullptr)
      return;
    const TensorEncoding* input = entry_before(*node.inputs()[product->input]);
    if (input == nullptr || input->scale.size() != 1) return;
    const TensorEncoding source = *input;
    add(node.output().name(), scaled(source, product->factor), node, false);
    add(product->constant->name(), one_step(source, product->number), node, true);
  }

  /// Returns the entry of numbers that are `factor` times as large.
  static TensorEncoding scaled(TensorEncoding entry, double factor) {
    for (auto* numbers : {&entry.scale, &entry.min, &entry.max})
      for (double& number : *numbers) number = static_cast<float>(number * factor);
    return entry;
  }

  /// Returns an entry in which `number` is one step from 0.
  static TensorEncoding one_step(TensorEncoding entry, double number) {
    const std::int64_t codes = std::int64_t{1} << entry.bitwidth;
    entry.scale = {number};
    entry.offset = {entry.is_signed ? -codes / 2 : 0};
    entry.is_symmetric = entry.is_signed;
    if (entry.min.empty()) return entry;
    entry.min = {number * static_cast<double>(entry.offset[0])};
    entry.max = {number * static_cast<double>(entry.offset[0] + codes - 1)};
    return entry;
  }

  void move(const Node& node) {
    const std::vector<std::string> inputs = inputs_of(node);
    std::vector<std::string> outputs;
    for (const Value* output : node.outputs()) outputs.push_back(output->name());
    if (inputs.empty()) return;
    const auto are_same = [&](const std::vector<std::string>& names) {
      return std::ranges::all_of(
          names, [&](const std::string& each) { return same(find(each), find(names[0])); });
    };
    const bool goes_back = are_same(outputs);
    const bool goes_on = node.type() == "Pad" || are_same(inputs);
    if (const TensorEncoding* entry = find(outputs[0]); entry != nullptr && goes_back)
      for (const std::string& input : inputs)
        if (passes(*entry) && find(input) == nullptr && readers_[input] == 1)
          add(input, *entry, node, true);
    const TensorEncoding* entry = find(inputs[0]);
    if (entry == nullptr || !goes_on || !passes(*entry)) return;
    for (const std::string& output : outputs)
      if (find(output) == nullptr) add(output, *entry, node, false);
  }

  /// Channels lie elsewhere behind a Reshape or Transpose.
  static bool passes(const TensorEncoding& entry) {
    return entry.type == io::EncodingType::per_tensor && !entry.scale.empty();
  }

  std::vector<const Node*> ops_;
  std::map<std::string, TensorEncoding> entries_;
  std::map<std::string, int> readers_;
  std::vector<DerivedEntry> derived_;
};

}  // namespace

std::vector<DerivedEntry> derived_entries(const Graph& graph,
                                          std::span<const io::TensorEncoding> known) {
  return Derivation(graph, known).run();
}

std::vector<DerivedEntry> strictly_loadable(std::vector<DerivedEntry> derived, const Graph& graph,
                                            std::span<const io::TensorEncoding> known,
                                            io::EncodingsVersion version) {
  std::map<std::string_view, const TensorEncoding*> entries;
  for (const TensorEncoding& entry : known) entries[entry.name] = &entry;
  std::vector<DerivedEntry> relus;
  for (const Node* node : graph.nodes()) {
    const Node* before =
        node->type() == "Relu" ? tensor_of(*node->inputs()[0]).producer() : nullptr;
    const auto found = entries.find(node->output().name());
    if (before == nullptr || !is_depthwise_or_3d(*before) || found == entries.end() ||
        entries.contains(before->output().name()))
      continue;
    relus.push_back({*found->second, node, true});
    relus.back().entry.name = before->output().name();
  }
  // Only in files of version 2.0.0 it passes entries behind ops that move numbers to those before.
  std::erase_if(derived, [&](const DerivedEntry& each) {
    if (!each.is_backward)
      return version != io::EncodingsVersion::v2_0_0 && each.op->op().traits().grid_preserving();
    const Value* tensor = graph.find_value(each.entry.name);
    const Node* producer = tensor == nullptr ? nullptr : tensor->producer();
    return producer != nullptr && is_clipping(*each.op) && !is_depthwise_or_3d(*producer);
  });
  std::ranges::move(relus, std::back_inserter(derived));
  return derived;
}

}  // namespace rung::quantsim
