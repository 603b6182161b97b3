#include <ostream>
#include <vector>

#include "core/format.h"
#include "rung/graph/graph.h"

namespace rung {
namespace {

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
    text += fmt::format("input   {} {}\n", input->name(), input->shape());
  std::int64_t count = 0;
  for (const auto& node : nodes_) {
    Printer printer;
    node->op_->visit(printer);
    std::vector<std::string> reads;
    for (const Value* input : node->inputs_) reads.push_back(input->name());
    text += fmt::format("{:<36} {:<20} {:<18} <- {}{}\n", node->name_, node->type(),
                        node->output().shape().to_string(), fmt::join(reads, ", "),
                        printer.text().empty() ? "" : "  {" + printer.text() + "}");
  }
  for (const Value* output : outputs_)
    text += fmt::format("output  {} {}\n", output->name(), output->shape());
  for (const Parameter* parameter : parameters())
    if (parameter->role() != Role::buffer && parameter->role() != Role::encoding)
      count += parameter->shape().numel();
  return text + fmt::format("{} nodes, {} parameters\n", nodes_.size(), count);
}

std::ostream& operator<<(std::ostream& out, const Graph& graph) { return out << graph.to_string(); }

}  // namespace rung
