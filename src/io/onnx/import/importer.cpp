#include "io/onnx/import/importer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/check.h"
#include "core/join.h"
#include "io/files/names.h"
#include "io/onnx/import/sort_nodes.h"
#include "io/onnx/ops/codes.h"
#include "io/onnx/ops/rule.h"
#include "rung/ops/ops.h"

namespace rung::io::onnx_import {
namespace {

void check_name(const std::string& name) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  require(name.size() <= kMaxName && std::ranges::none_of(name, is_control),
          "has the name {}, which is longer than {} bytes or not printable", shown_name(name),
          kMaxName);
}

bool is_quantizer(const ::onnx::NodeProto& node) {
  return node.op_type() == "QuantizeLinear" || node.op_type() == "DequantizeLinear";
}

/// Lists the extents of an input; open ones under their names.
std::vector<std::string> extents_of(const ::onnx::ValueInfoProto& info) {
  std::vector<std::string> extents;
  for (const auto& dim : info.type().tensor_type().shape().dim()) {
    const bool is_open = !dim.has_dim_value() || dim.dim_value() <= 0;
    extents.push_back(!is_open                   ? std::to_string(dim.dim_value())
                      : extents.empty()          ? "1"
                      : !dim.dim_param().empty() ? dim.dim_param()
                                                 : "?");
  }
  return extents;
}

/// Returns the rule by which an operator is read; nullptr if it becomes no node of the graph.
const onnx_ops::OnnxRule* reading_rule(std::string_view type) {
  const onnx_ops::OnnxRule* rule = onnx_ops::find_rule(type);
  return rule != nullptr && rule->read != nullptr ? rule : nullptr;
}

/// True for ops that read the same elements with another shape.
bool only_reshapes(std::string_view type) {
  const std::unique_ptr<Op> op = rung::make_op(type);
  return op != nullptr && op->traits().result == Result::input_in_order;
}

}  // namespace

bool is_known(const ::onnx::NodeProto& node) {
  const std::string& domain = node.domain();
  // 16-bit quantizers of ONNX Runtime mean what those of opset 21 do.
  if (domain == "com.microsoft") return is_quantizer(node);
  if (!domain.empty() && domain != "ai.onnx") return false;
  return reading_rule(node.op_type()) != nullptr || can_evaluate(node.op_type()) ||
         node.op_type() == "Constant" || node.op_type() == "Shape";
}

Importer::Importer(const Model& model, const OnnxImportOptions& options)
    : file_(model.proto->graph()),
      opset_(model.opset),
      options_(options),
      // Every constant may be looked at a few times; small files may still build tables.
      budget_(static_cast<std::int64_t>(model.bytes) * 4 + (std::int64_t{1} << 22)) {}

Graph Importer::run() {
  check_ops();
  collect_names();
  add_initializers();
  add_inputs();
  for (const ::onnx::NodeProto* proto : sorted_nodes(file_)) {
    const NodeReader node(*proto, opset_);
    try {
      import_node(node);
    } catch (const Error& error) {
      const std::string_view text = error.what();
      fail("{}{}{}", text.starts_with('[') ? "" : node.title(), text.starts_with('[') ? "" : " ",
           text);
    }
  }
  set_outputs();
  graph_.check();
  return std::move(graph_);
}

void Importer::check_ops() const {
  std::map<std::string, std::vector<std::string>> unknown;
  for (const ::onnx::NodeProto& node : file_.node()) {
    if (is_known(node)) continue;
    const std::string& domain = node.domain();
    const std::string type =
        domain.empty() || domain == "ai.onnx" ? node.op_type() : domain + "::" + node.op_type();
    unknown[shown_name(type)].push_back(shown_name(!node.name().empty()     ? node.name()
                                                   : node.output_size() > 0 ? node.output(0)
                                                                            : ""));
  }
  if (unknown.empty()) return;
  constexpr std::size_t kListed = 5, kTypes = 40;
  std::vector<std::string> texts;
  for (const auto& [type, names] : unknown) {
    const std::size_t shown = std::min(names.size(), kListed);
    texts.push_back(fmt::format("{} ({}{})", type, join(std::span(names).first(shown)),
                                names.size() > shown ? ", ..." : ""));
  }
  const std::size_t shown = std::min(texts.size(), kTypes);
  const bool one = unknown.size() == 1;
  fail("has {} that {} not imported: {}; imported are {}",
       one ? "an operator" : fmt::format("{} operators", unknown.size()), one ? "is" : "are",
       join(std::span(texts).first(shown)), join(onnx_import_ops()));
}

void Importer::collect_names() {
  require(file_.output_size() > 0, "has no outputs");
  constexpr int kMost = static_cast<int>(kMaxEnds);
  require(file_.input_size() <= kMost && file_.output_size() <= kMost,
          "has {} inputs and {} outputs", file_.input_size(), file_.output_size());
  for (const auto& each : file_.output()) outputs_.insert(each.name());
  for (const auto& each : file_.input()) reserved_.insert(each.name());
  for (const auto& each : file_.initializer()) reserved_.insert(each.name());
  for (const ::onnx::NodeProto& node : file_.node()) {
    check_name(node.name());
    require(node.input_size() <= kMost && node.output_size() <= kMost,
            "{} has {} inputs and {} outputs", shown_name(node.name()), node.input_size(),
            node.output_size());
    for (int i = 0; i < node.input_size(); ++i)
      readers_[node.input(i)].push_back({&node, static_cast<std::size_t>(i)});
    for (const std::string& each : node.output()) {
      check_name(each);
      if (!each.empty()) reserved_.insert(each);
    }
  }
}

void Importer::add_initializers() {
  for (const ::onnx::TensorProto& each : file_.initializer()) {
    check_name(each.name());
    require(!each.name().empty(), "has a tensor without a name");
    // Looked into when it is used: most of them once.
    if (!options_.constants.contains(each.name())) {
      Entry made;
      made.initializer = &each;
      define(each.name(), std::move(made));
    }
  }
}

Shape Importer::input_shape(const ::onnx::ValueInfoProto& info) const {
  const auto given = options_.input_shapes.find(info.name());
  if (given != options_.input_shapes.end()) return given->second;
  const auto& type = info.type().tensor_type();
  require(type.has_shape(), "input {} has no shape: give it, --input-shape {}=1,3,224,224",
          shown_name(info.name()), info.name());
  std::vector<std::int64_t> dims;
  for (const auto& dim : type.shape().dim()) {
    const bool is_open = !dim.has_dim_value() || dim.dim_value() <= 0;
    require(!is_open || dims.empty(),
            "input {} leaves the extent of axis {} open: give its shape, --input-shape {}={}",
            shown_name(info.name()), dims.size(), info.name(), join(extents_of(info), ","));
    dims.push_back(is_open ? 1 : dim.dim_value());
  }
  return checked_shape(dims);
}

void Importer::add_inputs() {
  std::vector<const ::onnx::ValueInfoProto*> inputs;
  for (const auto& info : file_.input()) {
    check_name(info.name());
    const std::string& name = info.name();
    require(!name.empty(), "has an input without a name");
    const auto constant = options_.constants.find(name);
    if (constant != options_.constants.end()) {
      Constant made;
      made.type = info.type().tensor_type().elem_type();
      made.shape = constant->second.shape();
      for (const float each : constant->second.data()) {
        if (!onnx_import::is_integer(made.type)) {
          made.floats.push_back(each);
          continue;
        }
        require(each == static_cast<float>(
                            static_cast<std::int64_t>(std::clamp(each, -9.0e18f, 9.0e18f))),
                "input {} is of {}: the constant {} is no whole number", shown_name(name),
                type_name(made.type), each);
        made.integers.push_back(static_cast<std::int64_t>(each));
      }
      set_constant(name, std::move(made));
    } else if (!tensors_.contains(name)) {  // old files list initializers as inputs, too
      inputs.push_back(&info);
    }
  }
  for (const auto& [name, unused] : options_.constants)
    require(reserved_.contains(name), "has no input {}, for which there is a constant", name);
  for (const auto& [name, unused] : options_.input_shapes)
    require(reserved_.contains(name), "has no input {}, for which there is a shape", name);
  // Which extents follow the batch size shows when there is one more image in it.
  const auto is_open = [](const ::onnx::ValueInfoProto& info) {
    const auto& shape = info.type().tensor_type().shape();
    return shape.dim_size() > 0 && (!shape.dim(0).has_dim_value() || shape.dim(0).dim_value() <= 0);
  };
  batch_is_open_ = std::ranges::any_of(inputs, [&](const auto* info) { return is_open(*info); });
  bool first = true;
  for (const ::onnx::ValueInfoProto* info : inputs) {
    const std::int32_t type = info->type().tensor_type().elem_type();
    // Truth values are fed as 1 and 0.
    require(info->type().has_tensor_type() && (is_float(type) || type == ::onnx::TensorProto::BOOL),
            "input {} is of {}, only floats are fed: give it a value as one of the constants",
            shown_name(info->name()),
            info->type().has_tensor_type() ? type_name(type) : "no tensor type");
    const Shape shape = input_shape(*info);
    Value& value = graph_.input(info->name(), shape).value();
    const bool has_batch =
        shape.rank() > 0 && (is_open(*info) || (!batch_is_open_ && shape.rank() > 1));
    if (has_batch && first) batch_ = shape[0], first = false;
    larger_[&value] = has_batch && shape[0] == batch_ ? shape.with(0, batch_ + 1) : shape;
    set_value(info->name(), value);
  }
  require(!inputs.empty(), "has no inputs");
}

void Importer::import_node(const NodeReader& node) {
  if (node.type() == "Constant") {
    Constant made = constant_node(node);
    budget_.take(made.shape.numel());
    set_constant(node.output(), std::move(made));
    return;
  }
  if (node.type() == "Shape" && !is_constant(node.input(0))) {
    set_constant(node.output(), shape_of(node));
    return;
  }
  if (evaluate_node(node)) return;
  const onnx_ops::OnnxRule* rule = reading_rule(node.type());
  require(rule != nullptr, "is only computed from constants and shapes, but {} is neither",
          shown_name(node.input(0)));
  const bool has_codes = node.has_input(0) && quantized(node.input(0)) != nullptr;
  if (has_codes && rule->moves_codes) {
    move_codes(node, *rule);
  } else {
    rule->read(*this, node);
    node.finish();
  }
}

/// Moving codes moves what they mean: the node is converted as if they were numbers, and its
/// outputs are codes of the same grid.
void Importer::move_codes(const NodeReader& node, const onnx_ops::OnnxRule& rule) {
  Quantized grid = *quantized(node.input(0));
  require(constant(grid.scale)->shape.numel() == 1,
          "moves codes that have a scale per channel, which is not imported");
  for (std::size_t i = 1; node.type() == "Concat" && i < node.input_count(); ++i) {
    const Quantized* other = quantized(node.input(i));
    require(other != nullptr && onnx_ops::are_equal(*this, grid, *other),
            "joins codes of different scales or zero points, which is not imported");
  }
  moves_codes_ = true;
  rule.read(*this, node);
  moves_codes_ = false;
  node.finish();
  grid.limits.reset();
  for (const std::string& output : node.proto().output()) {
    if (output.empty()) continue;
    Entry& made = entry(output);
    if (made.quantized) continue;  // another name of the same codes
    grid.result = std::exchange(made.value, nullptr);
    made.quantized = std::make_shared<Quantized>(grid);
  }
}

bool Importer::evaluate_node(const NodeReader& node) {
  if (node.input_count() == 0 || !(can_evaluate(node.type()) || node.type() == "Shape"))
    return false;
  std::vector<ConstantPtr> inputs;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i)) {
      inputs.push_back(nullptr);
      continue;
    }
    if (!is_constant(node.input(i))) return false;
    inputs.push_back(constant(node.input(i)));
  }
  if (node.type() == "Shape") {
    set_constant(node.output(), shape_of(node));
    return true;
  }
  if (!can_evaluate(node.type(), inputs)) return false;
  std::vector<Constant> results = evaluate(node, inputs, budget_);
  for (std::size_t i = 0; i < results.size(); ++i)
    if (node.has_output(i)) set_constant(node.output(i), std::move(results[i]));
  const bool is_clip = node.type() == "Clip" && constant(node.output())->limits.has_value();
  if (is_clip || only_reshapes(node.type())) entry(node.output()).origin = origin(node.input(0));
  return true;
}

/// Extents that follow the batch size are counted in batches.
Constant Importer::shape_of(const NodeReader& node) {
  Shape shape, larger;
  if (is_constant(node.input(0))) {
    shape = larger = constant(node.input(0))->shape;
  } else {
    const Value& source = value(node.input(0));
    shape = source.shape();
    larger = larger_batch(source) != nullptr ? *larger_batch(source) : shape;
  }
  const std::int64_t rank = shape.rank();
  const auto bound = [&](const char* name, std::int64_t missing) {
    const std::int64_t at = node.integer(name, missing);
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t begin = bound("start", 0), end = bound("end", rank);
  std::vector<std::int64_t> fixed, per_batch;
  bool follows = false;
  for (std::int64_t i = begin; i < end; ++i) {
    per_batch.push_back(larger[i] - shape[i]);
    fixed.push_back(shape[i] - per_batch.back() * batch_);
    follows = follows || per_batch.back() != 0;
  }
  Constant made = Constant::of_integers(fixed);
  if (follows) made.per_batch = per_batch;
  node.finish();
  return made;
}

void Importer::set_outputs() {
  std::vector<Value*> outputs;
  for (const auto& each : file_.output()) {
    check_name(each.name());
    outputs.push_back(&value(each.name()));
  }
  graph_.set_outputs(std::move(outputs));
}

}  // namespace rung::io::onnx_import
