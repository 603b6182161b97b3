#include <ostream>
#include <vector>

#include "core/check.h"
#include "rung/core/text.h"
#include "rung/graph/graph.h"

namespace rung {
namespace {

constexpr std::size_t kMostText = 2000;  // of a node's inputs, and of its attributes

// Collects "name=value" of every attribute.
class Printer final : public AttributeVisitor {
 public:
  void operator()(std::string_view name, std::int64_t& value) override { put(name, value); }
  void operator()(std::string_view name, double& value) override { put(name, value); }
  void operator()(std::string_view name, float& value) override { put(name, value); }
  void operator()(std::string_view name, bool& value) override { put(name, value); }
  void operator()(std::string_view name, std::string& value) override { put(name, value); }
  void operator()(std::string_view name, std::vector<std::int64_t>& value) override {
    put(name, fmt::format("[{}]", fmt::join(value, ", ")));
  }
  std::string text() const { return fmt::format("{}", fmt::join(parts_, ", ")); }

 private:
  template <typename T>
  void put(std::string_view name, const T& value) {
    parts_.push_back(fmt::format("{}={}", name, value));
  }
  std::vector<std::string> parts_;
};

}  // namespace

std::string Graph::to_string() const {
  std::string text;
  for (const Value* input : inputs_)
    text += fmt::format("input   {} {}\n", printable(input->name()), input->shape());
  std::int64_t count = 0;
  for (const auto& node : nodes_) {
    Printer printer;
    node->op_->visit(printer);
    std::vector<std::string> reads;
    for (const Value* input : node->inputs_) reads.push_back(printable(input->name()));
    const std::string attributes = printable(printer.text());
    text += fmt::format("{:<36} {:<20} {:<18} <- {}{}\n", printable(node->name_), node->type(),
                        node->output().shape().to_string(),
                        shortened(fmt::format("{}", fmt::join(reads, ", ")), kMostText),
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
