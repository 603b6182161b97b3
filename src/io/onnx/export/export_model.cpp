#include "io/onnx/export/export_model.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "core/check.h"
#include "graph/layer.h"
#include "io/files/atomic_file.h"
#include "io/onnx/export/export_ops.h"
#include "io/onnx/export/export_quantizers.h"
#include "io/onnx/export/export_writer.h"
#include "io/onnx/stored_codes.h"

namespace rung::io {
namespace {

constexpr std::size_t kLargestFile = 2147483647;  // protobuf's

using Shapes = std::map<const Value*, Shape>;

/// Returns the shapes of all values for inputs with `more` elements in their first axis than the
/// graph was built with; empty if an op does not take that.
Shapes shapes_with(const Graph& graph, std::int64_t more) {
  Shapes shapes;
  for (const Value* value : graph.values()) shapes[value] = value->shape();
  for (const Value* input : graph.inputs())
    if (input->shape().rank() > 0) shapes[input] = input->shape().with(0, input->shape()[0] + more);
  try {
    for (const Node* node : graph.nodes()) {
      std::vector<Shape> inputs;
      for (const Value* input : node->inputs()) inputs.push_back(shapes[input]);
      const std::vector<Shape> outputs = node->op().infer(inputs);
      for (std::size_t i = 0; i < outputs.size(); ++i) shapes[node->outputs()[i]] = outputs[i];
    }
  } catch (const Error&) {
    return {};
  }
  return shapes;
}

/// Writes one graph into one model.
class Exporter {
 public:
  Exporter(const Graph& graph, const OnnxExportOptions& options)
      : graph_(graph),
        options_(options),
        writer_(*model_.mutable_graph(), graph, choose_opset(), options.codes) {}

  std::string run() {
    describe();
    for (const Value* value : graph_.values())
      if (value->producer() == nullptr) names_[value] = value->name();
    for (Node* node : graph_.nodes()) write(*node);
    write_inputs_and_outputs();
    require(model_.ByteSizeLong() <= kLargestFile,
            "the model takes {} bytes, an ONNX file holds at most {}", model_.ByteSizeLong(),
            kLargestFile);
    return model_.SerializeAsString();
  }

 private:
  bool writes_quantizers() const { return options_.quantizers == OnnxQuantizers::qdq; }

  int choose_opset() const {
    int natural = kOpsetPerChannel;
    for (const Node* node : graph_.nodes()) {
      const int since = opset_of(*node);
      require(since <= options_.opset.value_or(since),
              "[{} {}] came to ONNX with opset {}: it cannot be written with opset {}",
              node->type(), node->name(), since, *options_.opset);
      natural = std::max(natural, since);
    }
    if (writes_quantizers())
      for (Node* node : graph_.nodes())
        if (working_quantizer(*node) != nullptr)
          natural = std::max(
              natural, natural_opset(linear_encoding(QuantizerHandle(*node)), options_.codes));
    const int opset = options_.opset.value_or(natural);
    require(opset >= kOpsetPerChannel && opset <= kOpsetBlocks, "opset must be {} .. {}, got {}",
            kOpsetPerChannel, kOpsetBlocks, opset);
    return opset;
  }

  void describe() {
    const int opset = writer_.opset();
    model_.set_ir_version(opset <= 18 ? 8 : opset <= 20 ? 9 : 10);
    model_.set_producer_name("rung");
    model_.mutable_graph()->set_name("rung");
    model_.add_opset_import()->set_version(opset);
  }

  void write(Node& node) {
    if (node.as<QuantizeDequantize>() != nullptr) return write_quantize_dequantize(node);
    if (writes_quantizers() && bias_value(node) != nullptr) return write_layer(node);
    std::vector<std::string> inputs, outputs;
    for (const Value* input : node.inputs()) inputs.push_back(name_of(*input));
    for (const Value* output : node.outputs()) outputs.push_back(names_[output] = output->name());
    write_op(writer_, node, std::move(inputs), outputs);
  }

  /// Writes a layer and its bias: as int32 codes if it can have them. ONNX Runtime makes a float
  /// bias behind quantized inputs int32 by itself, and saturates: there it stands apart, as an Add,
  /// or has the shape of a matrix, which is left alone.
  void write_layer(Node& node) {
    const Value &bias = *bias_value(node), &output = node.output();
    std::vector<std::string> inputs = {name_of(*node.inputs()[0]), name_of(weight_value(node))};
    const std::string& result = names_[&output] = output.name();
    const std::string codes = options_.int32_bias ? write_int32_bias(writer_, node) : std::string();
    const bool is_float =
        codes.empty() && parameter_behind(bias) != nullptr && code_bits(*node.inputs()[0]) > 0;
    const std::int64_t channels = bias.shape().numel();
    if (is_float && output.shape().rank() > 2) {
      const std::string product = writer_.fresh_name(result + ".product");
      write_op(writer_, node, std::move(inputs), {product});
      std::vector<std::int64_t> dims(static_cast<std::size_t>(output.shape().rank() - 1), 1);
      dims[0] = channels;
      const std::string apart = float_bias(bias, Shape(dims));
      writer_.node("Add", writer_.fresh_name(result + ".add"), {product, apart}, {result});
      return;
    }
    inputs.push_back(!codes.empty() ? codes
                     : is_float     ? float_bias(bias, {1, channels})
                                    : name_of(bias));
    write_op(writer_, node, std::move(inputs), {result});
  }

  /// Writes a float bias in another shape and returns its name.
  std::string float_bias(const Value& value, const Shape& shape) {
    const Value& source = *parameter_behind(value);
    const Parameter& bias = *source.parameter();
    const std::string name =
        is_alone(source) ? bias.name() : writer_.fresh_name(bias.name() + ".float");
    writer_.floats(name, shape, bias.value().data());
    return name;
  }

  /// Returns the name that a value has in the file.
  std::string name_of(const Value& value) {
    const std::string& name = names_.at(&value);
    if (const Value* source = parameter_behind(value); source != nullptr) need(*source);
    return name;
  }

  /// Returns the parameter that a value is, or is but for quantizers that are left out.
  const Value* parameter_behind(const Value& value) const {
    const auto found = left_out_.find(&value);
    const Value* source = found == left_out_.end() ? &value : found->second;
    return source->parameter() != nullptr ? source : nullptr;
  }

  /// Writes a parameter as it stands, once.
  void need(const Value& value) {
    if (!written_.insert(&value).second) return;
    const Parameter& parameter = *value.parameter();
    writer_.floats(parameter.name(), parameter.shape(), parameter.value().data());
  }

  /// True if only this quantizer reads the parameter, which may then go under its name.
  static bool is_alone(const Value& parameter) { return parameter.uses().size() == 1; }

  void write_quantize_dequantize(Node& node) {
    const QuantizerHandle quantizer(node);
    const Value &x = *node.inputs()[0], &y = node.output();
    const Value* source = parameter_behind(x);
    const bool works = working_quantizer(node) != nullptr;
    if (works && writes_quantizers()) {
      names_[&y] = y.name();
      if (source == nullptr) return write_quantizer(writer_, quantizer, name_of(x));
      const std::string codes =
          is_alone(*source) ? source->name() : writer_.fresh_name(source->name() + ".q");
      return write_parameter_quantizer(writer_, *source->parameter(), quantizer, codes);
    }
    if (works && source != nullptr && options_.quantizers == OnnxQuantizers::baked) {
      const Tensor numbers = quantizer.quantize_dequantize(source->parameter()->value());
      names_[&y] = is_alone(*source) ? source->name() : y.name();
      return writer_.floats(names_[&y], numbers.shape(), numbers.data());
    }
    const auto found = left_out_.find(&x);
    left_out_[&y] = found == left_out_.end() ? &x : found->second;
    names_[&y] = names_.at(&x);
  }

  void write_inputs_and_outputs() {
    const Shapes larger = shapes_with(graph_, 1);
    for (const Value* input : graph_.inputs())
      describe_value(*model_.mutable_graph()->add_input(), input->name(), *input, larger);
    std::set<std::string> taken;
    for (const Value* input : graph_.inputs()) taken.insert(input->name());
    for (const Value* output : graph_.outputs()) {
      std::string name = name_of(*output);
      // An output must be a tensor of its own that a node writes.
      if (parameter_behind(*output) != nullptr || !taken.insert(name).second) {
        const std::string copy = output->producer() != nullptr && name != output->name()
                                     ? output->name()
                                     : writer_.fresh_name(name + ".output");
        writer_.node("Identity", copy, {name}, {copy});
        taken.insert(name = copy);
      }
      describe_value(*model_.mutable_graph()->add_output(), name, *output, larger);
    }
  }

  /// Gives an input or output its type; axes that grow with the batch are called N.
  static void describe_value(onnx::ValueInfoProto& info, const std::string& name,
                             const Value& value, const Shapes& larger) {
    info.set_name(name);
    auto& type = *info.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    auto& shape = *type.mutable_shape();
    for (std::int64_t axis = 0; axis < value.shape().rank(); ++axis) {
      auto& dim = *shape.add_dim();
      const std::int64_t extent = value.shape()[axis];
      const std::int64_t growth = larger.empty() ? 0 : larger.at(&value)[axis] - extent;
      if (growth == 0) dim.set_dim_value(extent);
      if (growth == 1) dim.set_dim_param("N");  // any other depends on N in its own way
    }
  }

  const Graph& graph_;
  const OnnxExportOptions& options_;
  onnx::ModelProto model_;
  OnnxWriter writer_;
  std::map<const Value*, std::string> names_;      // in the file
  std::map<const Value*, const Value*> left_out_;  // behind a quantizer that is not written
  std::set<const Value*> written_;                 // parameters
};

}  // namespace

std::string onnx_model(const Graph& graph, const OnnxExportOptions& options) {
  return Exporter(graph, options).run();
}

void save_onnx(const Graph& graph, const std::filesystem::path& path,
               const OnnxExportOptions& options) {
  std::string model;
  try {
    model = onnx_model(graph, options);
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
  AtomicFile file(path);
  file.write(model);
  file.commit();
}

}  // namespace rung::io
