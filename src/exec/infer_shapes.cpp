#include "core/check.h"
#include "exec/passes.h"

namespace rung {

void infer_shapes(Program& program, const Source& source) {
  const Graph& graph = source.graph;
  const std::vector<Shape>& given = program.input_shapes;
  require(given.size() == graph.inputs().size(), "Executor: the graph has {} inputs, got {}",
          graph.inputs().size(), given.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    const Value& input = *graph.inputs()[i];
    require(given[i].rank() == input.shape().rank(),
            "Executor: input {} must have rank {} like {}, got {}", input.name(),
            input.shape().rank(), input.shape(), given[i]);
    program.shapes[&input] = given[i];
  }
  for (const Value* value : graph.values())
    if (value->parameter()) program.shapes[value] = value->parameter()->shape();
  for (const Node* node : graph.nodes()) {
    std::vector<Shape> in;
    for (const Value* value : node->inputs()) in.push_back(program.shapes.at(value));
    try {
      const std::vector<Shape> out = node->op().infer(in);
      for (std::size_t i = 0; i < out.size(); ++i) program.shapes[node->outputs()[i]] = out[i];
    } catch (const Error& error) {
      fail("[{} {}] {}", node->type(), node->name(), error.what());
    }
  }
}

}  // namespace rung
