#include "io/onnx/constant_names.h"

#include <cmath>
#include <memory>

#include "core/check.h"
#include "io/onnx/import/make_op.h"

namespace rung::io {

std::string onnx_constant_name(const Node& node, std::string_view what) {
  return fmt::format("{}.{}", node.name(), what);
}

std::vector<std::string> onnx_number_constants(const Node& node) {
  std::vector<std::string> names;
  if (node.type() == "Pad") names.push_back(onnx_constant_name(node, "value"));
  if (node.type() != "Clip") return names;
  const std::unique_ptr<Op> clip = node.op().clone();  // only what may change shows its attributes
  for (const char* bound : {"min", "max"})
    if (!std::isinf(onnx_import::float_attribute(*clip, bound)))
      names.push_back(onnx_constant_name(node, bound));
  return names;
}

}  // namespace rung::io
