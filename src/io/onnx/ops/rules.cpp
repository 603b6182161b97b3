#include <algorithm>

#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

using Family = std::vector<OnnxRule> (*)();

// An operator that several families name goes by the first of them.
constexpr Family kFamilies[] = {
    clip_rules,   conv_rules,      elementwise_rules, expand_rules, matrix_rules,
    norm_rules,   part_rules,      pool_rules,        prelu_rules,  quantize_rules,
    reduce_rules, recurrent_rules, reshape_rules,     resize_rules, shape_rules,
};

}  // namespace

void read_unary(Importer& importer, const NodeReader& node) {
  importer.add(node, read_op(node), {&importer.value(node.input(0))});
}

void read_binary(Importer& importer, const NodeReader& node) {
  const std::size_t count = node.input_count();
  const bool takes_any = node.type() == "Max" || node.type() == "Min";
  require(count == 2 || (takes_any && count > 0), "has {} inputs", count);
  if (count == 1) return read_identity(importer, node);
  Value* y = &importer.value(node.input(0));
  for (std::size_t i = 1; i + 1 < count; ++i)
    y = &importer.add_step(node, "step", make_op(node.type()), {y, &importer.value(node.input(i))});
  importer.add(node, make_op(node.type()), {y, &importer.value(node.input(count - 1))});
}

void read_identity(Importer& importer, const NodeReader& node) {
  if (!importer.is_output(node.output())) {
    importer.set_alias(node.output(), node.input(0));
    return;
  }
  importer.add(node, make_op("Identity"), {&importer.value(node.input(0))});
}

void write_plain(Export& to) { to.write(); }

const std::vector<OnnxRule>& onnx_rules() {
  static const std::vector<OnnxRule> rules = [] {
    std::vector<OnnxRule> all;
    for (const Family family : kFamilies) {
      const std::vector<OnnxRule> rules_of_family = family();
      all.insert(all.end(), rules_of_family.begin(), rules_of_family.end());
    }
    std::ranges::stable_sort(all, {}, &OnnxRule::type);
    const auto again = std::ranges::unique(all, {}, &OnnxRule::type);
    all.erase(again.begin(), again.end());
    return all;
  }();
  return rules;
}

const OnnxRule* find_rule(std::string_view type) {
  const auto found = std::ranges::lower_bound(onnx_rules(), type, {}, &OnnxRule::type);
  return found != onnx_rules().end() && found->type == type ? &*found : nullptr;
}

}  // namespace rung::io::onnx_ops
