#include "io/onnx/export/export_ops.h"

#include <utility>

#include "io/onnx/ops/rule.h"

namespace rung::io {

void write_op(OnnxWriter& writer, Node& node, Strings inputs, const Strings& outputs) {
  const onnx_ops::OnnxRule* rule = onnx_ops::find_rule(node.type());
  require(rule != nullptr && rule->write != nullptr,
          "[{} {}] cannot be exported: ONNX has no such op", node.type(), node.name());
  Export to{writer, node, {}, std::move(inputs), outputs};
  node.op().visit(to.attributes);
  rule->write(to);
}

int opset_of(const Node& node) {
  const onnx_ops::OnnxRule* rule = onnx_ops::find_rule(node.type());
  return rule != nullptr ? rule->since : 0;
}

}  // namespace rung::io
