#include "rung/analysis/dot.h"

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "core/check.h"
#include "rung/analysis/summary.h"
#include "rung/core/text.h"

namespace rung::analysis {
namespace {

constexpr std::size_t kMostText = 100;  // bytes of a line in a box

/// Returns a text as it stands between quotes. In labels Graphviz gives backslashes and & a meaning
/// of their own.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : shortened(printable(text), kMostText)) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
    if (c == '&') result += "amp;";
  }
  return result;
}

/// A value on its way to a reader: where it comes from, and the quantizers that it passes.
struct Path {
  const Value* source;
  std::string bits;  // "8 bit", empty without quantizers that work
};

Path path_to(const Value& read) {
  Path path{&read, {}};
  while (path.source->producer() != nullptr &&
         path.source->producer()->as<QuantizeDequantize>() != nullptr) {
    const QuantizerHandle quantizer(*path.source->producer());
    if (quantizer.works()) {
      const bool per_channel = quantizer.op().quantizer().granularity().axis.has_value();
      path.bits = fmt::format("{} bit{}", quantizer.bitwidth(), per_channel ? " per channel" : "");
    }
    path.source = &quantizer.source();
  }
  return path;
}

class Drawing {
 public:
  explicit Drawing(const Graph& graph) : graph_(graph) {
    for (const LayerSummary& layer : summarize(graph).layers)
      attributes_[layer.name] = layer.attributes;
  }

  std::string text() {
    for (const Value* input : graph_.inputs())
      add(*input, "ellipse", {escaped(input->name()), input->shape().to_string()});
    for (const Node* node : graph_.nodes())
      if (node->as<QuantizeDequantize>() == nullptr) add(*node);
    for (const Value* output : graph_.outputs()) {
      const std::string id = fmt::format("n{}", count_++);
      put(id, "ellipse", {"output", escaped(output->name())});
      connect(*output, id);
    }
    return "digraph network {\n  node [fontname=\"Helvetica\", fontsize=11, style=filled, "
           "fillcolor=white];\n  edge [fontname=\"Helvetica\", fontsize=9];\n" +
           text_ + "}\n";
  }

 private:
  void put(const std::string& id, std::string_view shape, const std::vector<std::string>& lines,
           std::string_view color = "white") {
    std::string label;
    for (const std::string& line : lines) label += (label.empty() ? "" : "\\n") + line;
    text_ +=
        fmt::format("  {} [shape={}, fillcolor=\"{}\", label=\"{}\"];\n", id, shape, color, label);
  }

  void add(const Value& input, std::string_view shape, const std::vector<std::string>& lines) {
    const std::string id = fmt::format("n{}", count_++);
    ids_[&input] = id;
    put(id, shape, lines);
  }

  void add(const Node& node) {
    const std::string id = fmt::format("n{}", count_++);
    for (const Value* output : node.outputs()) ids_[output] = id;
    std::vector<std::string> lines = {escaped(node.type()), escaped(node.name())};
    if (const auto found = attributes_.find(node.name()); found != attributes_.end())
      for (const Attribute& each : found->second)
        lines.push_back(escaped(each.name + "=" + each.value));
    std::vector<const Value*> read;
    for (const Value* input : node.inputs()) {
      const Path path = path_to(*input);
      if (path.source->parameter() == nullptr)
        read.push_back(input);
      else
        lines.push_back(
            escaped(fmt::format("{} {}{}", path.source->name(), path.source->shape().to_string(),
                                path.bits.empty() ? "" : ", " + path.bits)));
    }
    put(id, "box", lines, lines.size() > 2 ? "#e8f0fe" : "white");
    for (const Value* value : read) connect(*value, id);
  }

  void connect(const Value& value, const std::string& reader) {
    const Path path = path_to(value);
    const auto from = ids_.find(path.source);
    if (from == ids_.end()) return;  // a parameter that is an output
    text_ += fmt::format(
        "  {} -> {} [label=\"{}{}\"{}];\n", from->second, reader, path.source->shape().to_string(),
        path.bits.empty() ? "" : "\\n" + path.bits, path.bits.empty() ? "" : ", color=\"#1a73e8\"");
  }

  const Graph& graph_;
  std::map<std::string, std::vector<Attribute>, std::less<>> attributes_;  // by node
  std::map<const Value*, std::string> ids_;
  int count_ = 0;
  std::string text_;
};

}  // namespace

std::string to_dot(const Graph& graph) { return Drawing(graph).text(); }

}  // namespace rung::analysis
