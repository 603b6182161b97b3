#include "rung/analysis/summary.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <type_traits>

#include "analysis/arithmetic.h"
#include "analysis/switches.h"
#include "core/check.h"
#include "core/join.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"

namespace rung::analysis {
namespace {

/// Collects attributes as text; of lists whether all numbers are the same, too.
class AttributeList final : public AttributeVisitor {
 public:
  struct Entry {
    Attribute attribute;
    std::optional<std::int64_t> everywhere = {};
  };

  void operator()(std::string_view name, std::int64_t& value) override { put(name, value); }
  void operator()(std::string_view name, double& value) override { put(name, value); }
  void operator()(std::string_view name, float& value) override { put(name, value); }
  void operator()(std::string_view name, bool& value) override { put(name, value); }
  void operator()(std::string_view name, std::string& value) override { put(name, value); }
  void operator()(std::string_view name, std::vector<std::int64_t>& value) override {
    put(name, fmt::format("[{}]", join(value)));
    if (!value.empty() && std::ranges::count(value, value[0]) == std::ssize(value))
      entries.back().everywhere = value[0];
  }

  std::vector<Entry> entries;

 private:
  template <typename T>
  void put(std::string_view name, const T& value) {
    entries.push_back({{std::string(name), fmt::format("{}", value)}});
  }
};

std::vector<AttributeList::Entry> attributes_of(const Op& op) {
  AttributeList list;
  op.clone()->visit(list);
  return list.entries;
}

/// Returns the attributes that an op made anew would not have. Strides [1] of one axis are the
/// default, too, where those of two are [1, 1].
std::vector<Attribute> unusual_attributes(const Op& op) {
  const std::unique_ptr<Op> fresh = make_op(op.type());
  std::vector<AttributeList::Entry> defaults;
  if (fresh != nullptr) defaults = attributes_of(*fresh);
  std::vector<Attribute> unusual;
  for (const AttributeList::Entry& each : attributes_of(op)) {
    const bool is_default = std::ranges::any_of(defaults, [&](const AttributeList::Entry& other) {
      return other.attribute == each.attribute ||
             (other.attribute.name == each.attribute.name && each.everywhere &&
              other.everywhere == each.everywhere);
    });
    if (!is_default) unusual.push_back(each.attribute);
  }
  return unusual;
}

/// Returns the bits that a number of a value takes in a file of codes: those of the quantizer that
/// reads it, or what is made of it alone (a folded weight).
int bits_of(const Value& value) {
  for (const Use& use : value.uses()) {
    if (use.node->as<QuantizeDequantize>() != nullptr) {
      if (use.index != 0) continue;  // a range
      const QuantizerHandle quantizer(*use.node);
      if (quantizer.works()) return quantizer.bitwidth();
    } else if (use.node->as<FoldedWeight>() != nullptr && use.index == 0) {
      return bits_of(use.node->output());
    }
  }
  return 32;
}

class Summarizer {
 public:
  explicit Summarizer(const Graph& graph) : graph_(graph) {
    for (const QuantizerHandle& each : find_quantizers(graph)) {
      quantizers_[layer_of(each)].push_back(each);
      ++summary_.quantizers;
      summary_.working_quantizers += each.works() ? 1 : 0;
    }
    const auto inputs = graph.inputs();
    if (!inputs.empty() && inputs[0]->shape().rank() > 0 && inputs[0]->shape()[0] > 0)
      images_ = inputs[0]->shape()[0];
  }

  NetworkSummary run() {
    for (const Value* input : graph_.inputs())
      add({.name = input->name(), .type = "input", .output_shape = input->shape()});
    for (const Node* node : graph_.nodes())
      if (node->as<QuantizeDequantize>() == nullptr) add(layer(*node));
    return std::move(summary_);
  }

 private:
  LayerSummary layer(const Node& node) {
    const Shape& output = node.output().shape();
    LayerSummary layer{.name = node.name(),
                       .type = std::string(node.type()),
                       .output_shape = output,
                       .attributes = unusual_attributes(node.op())};
    if (!node.inputs().empty())
      layer.macs = macs_of(node, node.inputs()[0]->shape(), output) / images_;
    for (const Value* value : node.inputs()) count(*value, layer);
    return layer;
  }

  /// Counts a parameter behind an input of a node.
  void count(const Value& input, LayerSummary& layer) {
    const Value* value = &input;
    while (value->producer() != nullptr && value->producer()->as<QuantizeDequantize>() != nullptr)
      value = value->producer()->inputs()[0];
    const Parameter* parameter = value->parameter();
    if (parameter == nullptr || parameter->role() == Role::buffer ||
        parameter->role() == Role::encoding || !counted_.insert(parameter).second)
      return;
    const std::int64_t numbers = parameter->shape().numel();
    layer.parameters += numbers;
    layer.float_bytes += numbers * 4;
    layer.bytes += (numbers * bits_of(*value) + 7) / 8;
  }

  void add(LayerSummary layer) {
    if (const auto found = quantizers_.find(layer.name); found != quantizers_.end())
      layer.quantizers = found->second;
    summary_.parameters += layer.parameters;
    summary_.float_bytes += layer.float_bytes;
    summary_.bytes += layer.bytes;
    summary_.macs += layer.macs;
    summary_.layers.push_back(std::move(layer));
  }

  const Graph& graph_;
  std::int64_t images_ = 1;
  std::map<std::string, std::vector<QuantizerHandle>, std::less<>> quantizers_;  // by layer
  std::set<const Parameter*> counted_;
  NetworkSummary summary_;
};

}  // namespace

NetworkSummary summarize(const Graph& graph) { return Summarizer(graph).run(); }

}  // namespace rung::analysis
