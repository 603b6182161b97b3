#include <algorithm>
#include <set>

#include "io/model/check_values.h"
#include "io/onnx/import/importer.h"
#include "io/onnx/ops/rule.h"
#include "rung/io/onnx_import.h"

namespace rung::io {

Graph load_onnx(const std::filesystem::path& path, const OnnxImportOptions& options) {
  try {
    const onnx_import::Model model = onnx_import::read_model(path, options.max_bytes);
    Graph graph = onnx_import::Importer(model, options).run();
    check_values(graph);
    return graph;
  } catch (const Error& error) {
    const std::string text = error.what(), name = path.string();
    if (text.starts_with(name)) throw;
    fail("{}: {}", name, text);
  }
}

std::vector<std::string_view> onnx_import_ops() {
  std::set<std::string_view> types;
  for (const onnx_ops::OnnxRule& rule : onnx_ops::onnx_rules())
    if (rule.read != nullptr) types.insert(rule.type);
  types.insert(onnx_import::evaluated_ops().begin(), onnx_import::evaluated_ops().end());
  types.insert({"Constant", "Shape"});
  return {types.begin(), types.end()};
}

}  // namespace rung::io
