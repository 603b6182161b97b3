#include <ostream>
#include <vector>

#include "core/attribute_text.h"
#include "core/check.h"
#include "core/join.h"
#include "rung/core/text.h"
#include "rung/graph/graph.h"

namespace rung {
namespace {

constexpr std::size_t kMostText = 2000;  // of a node's inputs, and of its attributes

}  // namespace

std::string Graph::to_string() const {
  std::string text;
  for (const Value* input : inputs_)
    text += fmt::format("input   {} {}\n", printable(input->name()), input->shape());
  std::int64_t count = 0;
  for (const auto& node : nodes_) {
    AttributeText attribute_text;
    node->op_->visit(attribute_text);
    std::vector<std::string> reads;
    for (const Value* input : node->inputs_) reads.push_back(printable(input->name()));
    const std::string attributes = printable(attribute_text.text());
    text += fmt::format("{:<36} {:<20} {:<18} <- {}{}\n", printable(node->name_), node->type(),
                        node->output().shape().to_string(),
                        shortened(fmt::format("{}", join(reads)), kMostText),
                        attributes.empty() ? "" : "  {" + shortened(attributes, kMostText) + "}");
  }
  for (const Value* output : outputs_)
    text += fmt::format("output  {} {}\n", printable(output->name()), output->shape());
  for (const Parameter* parameter : parameters())
    if (parameter->role() != Role::buffer && parameter->role() != Role::encoding)
      count += parameter->shape().numel();
  return text + fmt::format("{} nodes, {} parameters\n", nodes_.size(), count);
}

std::ostream& operator<<(std::ostream& out, const Graph& graph) { return out << graph.to_string(); }

}  // namespace rung
