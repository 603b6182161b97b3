#include "rung/ops/quantizer_handle.h"

#include <algorithm>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "core/check.h"
#include "ops/quantize/quantizer_names.h"
#include "ops/quantize/sharing.h"
#include "ops/quantize/value_quantizer.h"

namespace rung {

namespace {

/// Returns legal ranges of the quantizer's grid that cover the given ones; throws Error for NaN and
/// min > max.
std::vector<Range> covering(std::span<const Range> ranges, const Quantizer& quantizer) {
  require(!ranges.empty(), "there is no range");
  Range all = ranges[0];
  for (const Range& each : ranges) all.min = std::min(all.min, each.min);
  const Symmetry symmetry = resolve_symmetry(quantizer.symmetry(), all);
  const Grid grid = make_grid(quantizer.bitwidth(), symmetry, quantizer.options().grid_rules);
  std::vector<Range> legal;
  for (const Range& each : ranges) legal.push_back(legal_range(each, grid, symmetry));
  return legal;
}

std::vector<std::span<const float>> read(const std::vector<Parameter*>& parameters) {
  std::vector<std::span<const float>> values;
  for (const Parameter* parameter : parameters) values.push_back(parameter->value().data());
  return values;
}

}  // namespace

QuantizerHandle::QuantizerHandle(Node& node) : node_(&node) {
  require(node.as<QuantizeDequantize>() != nullptr, "[{} {}] is not a quantizer", node.type(),
          node.name());
  for (const Value* value : node.inputs().subspan(1))
    require(value->parameter() != nullptr, "quantizer {}: {} is not a parameter", node.name(),
            value->name());
}

std::string QuantizerHandle::name() const { return std::string(quantized_name(node_->name())); }

QuantizerPlace QuantizerHandle::place() const {
  const bool is_parameter =
      source().parameter() != nullptr && op().place() != QuantizerPlace::edge;
  return is_parameter ? QuantizerPlace::parameter : op().place();
}

void QuantizerHandle::require_unfrozen(std::string_view what) const {
  require(!frozen(),
          "quantizer {}: cannot change the {} of a frozen quantizer; unfreeze() it first", name(),
          what);
}

template <typename Change>
void QuantizerHandle::change_quantizer(const Change& change) {
  std::unique_ptr<Quantizer> changed = op().quantizer().clone();
  const std::vector<Range> old_ranges = initialized() ? ranges() : std::vector<Range>{};
  change(*changed);
  op().set_quantizer(std::move(changed));
  if (!old_ranges.empty()) op().set_ranges(covering(old_ranges, op().quantizer()), parameters());
  share_settings(*node_);
}

void QuantizerHandle::set_bitwidth(int bitwidth) {
  require_unfrozen("bitwidth");
  change_quantizer([&](Quantizer& quantizer) { quantizer.set_bitwidth(bitwidth); });
}

void QuantizerHandle::set_symmetry(Symmetry symmetry) {
  require_unfrozen("symmetry");
  change_quantizer([&](Quantizer& quantizer) { quantizer.set_symmetry(symmetry); });
}

void QuantizerHandle::set_ranges(std::span<const Range> ranges) {
  require_unfrozen("range");
  try {
    op().set_ranges(covering(ranges, op().quantizer()), parameters());
  } catch (const Error& error) {
    fail("quantizer {}: {}", name(), error.what());
  }
  share_settings(*node_);
}

void QuantizerHandle::set_range_estimator(const RangeEstimator& estimator) {
  for (Node* node : sharing_nodes(*node_))
    node->as<QuantizeDequantize>()->set_estimator(estimator.clone());
}

void QuantizerHandle::reset_encoding_stats() {
  require_unfrozen("range");
  set_learned(false);
  op().set_initialized(false);
  share_settings(*node_);
}

std::vector<Range> QuantizerHandle::ranges() const {
  require(initialized(), "quantizer {} has no range yet: call compute_encodings or set_range",
          name());
  return op().quantizer().ranges(read(parameters()));
}

Encoding QuantizerHandle::encoding() const {
  require(initialized(), "quantizer {} has no encoding yet: call compute_encodings or set_range",
          name());
  return op().encoding(parameters());
}

Tensor QuantizerHandle::quantize_dequantize(const ConstTensor& x) const {
  require(initialized(), "quantizer {} has no encoding yet: call compute_encodings or set_range",
          name());
  const std::vector<std::span<const float>> values = read(parameters());
  Tensor y(x.shape());
  op().quantizer().forward(
      {.x = x.data(), .shape = x.shape(), .parameters = values, .y = y.data()});
  return y;
}

QuantizerHandle::DisabledScope QuantizerHandle::disabled_scope() { return DisabledScope(op()); }

void QuantizerHandle::freeze() {
  require(initialized(), "quantizer {}: cannot freeze it before it has a range", name());
  op().set_frozen(true);
  set_learned(false);
  share_settings(*node_);
}

void QuantizerHandle::unfreeze() {
  op().set_frozen(false);
  share_settings(*node_);
}

bool QuantizerHandle::learned() const {
  const std::vector<Parameter*> all = parameters();
  return std::ranges::any_of(all, [](const Parameter* p) { return p->requires_grad(); });
}

void QuantizerHandle::set_learned(bool learned) {
  if (learned) require_unfrozen("range (by training)");
  const std::vector<ParameterSpec> specs = op().quantizer().parameters();
  const std::vector<Parameter*> all = parameters();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool wanted = learned && specs[i].learnable;
    if (all[i]->requires_grad() != wanted) all[i]->set_requires_grad(wanted);
  }
}

std::ostream& operator<<(std::ostream& out, const QuantizerHandle& quantizer) {
  const QuantizeDequantize& op = quantizer.op();
  std::string line = fmt::format("{}  ", quantizer.name());
  if (op.quantizer().pass_through()) {
    line += "32 bit: passes everything";
  } else if (quantizer.initialized()) {
    line += to_string(quantizer.encoding());
  } else {
    line += fmt::format("int{} {} {}, no range yet", quantizer.bitwidth(),
                        to_string(quantizer.symmetry()),
                        op.quantizer().axis() ? "per-channel" : "per-tensor");
  }
  line +=
      fmt::format("  {}{}{}{}", op.estimator().name(), quantizer.learned() ? "  learned" : "",
                  quantizer.frozen() ? "  frozen" : "", quantizer.enabled() ? "" : "  disabled");
  return out << line;
}

std::vector<QuantizerHandle> find_quantizers(const Graph& graph) {
  std::vector<QuantizerHandle> found;
  std::set<const Node*> seen;
  const auto add = [&](Node* node) {
    if (node != nullptr && node->as<QuantizeDequantize>() != nullptr && seen.insert(node).second)
      found.emplace_back(*node);
  };
  const std::vector<Node*> nodes = graph.nodes();
  for (Node* node : nodes) {
    if (node->as<QuantizeDequantize>() != nullptr) continue;
    for (const Value* input : node->inputs()) add(input->producer());
    for (const Value* output : node->outputs()) add(value_quantizer(*output));
  }
  for (Node* node : nodes) add(node);  // one that no op reads
  return found;
}

}  // namespace rung
