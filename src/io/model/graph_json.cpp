#include "io/model/graph_json.h"

#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/join.h"
#include "io/files/limits.h"
#include "io/files/names.h"
#include "io/model/attributes.h"
#include "ops/quantize/quantizer_names.h"
#include "rung/ops/ops.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung::io {
namespace {

constexpr std::array kRoles = {Role::weight, Role::bias, Role::norm, Role::encoding, Role::buffer};

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && std::ranges::none_of(text, [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

std::string checked(const std::string& name, std::string_view source) {
  require(is_name(name), "{}: the name {} is empty, longer than {} bytes or not printable", source,
          shown_name(name), kMaxName);
  return name;
}

/// Throws Error if so many are more than can be read back.
void check_count(std::size_t count, std::size_t most, std::string_view what,
                 std::string_view source) {
  require(count <= most, "{}: has {} {}, model files hold at most {}", source, count, what, most);
}

Json dims_of(const Shape& shape, std::string_view name, std::string_view source) {
  require(shape.dims().size() <= kMaxRank &&
              std::ranges::all_of(shape.dims(), [](auto d) { return d <= kMaxExtent; }),
          "{}: {} has the shape {}, which is too large for a model file", source, shown_name(name),
          shape);
  return shape.dims();
}

Json names_of(std::span<Value* const> values, std::string_view source) {
  check_count(values.size(), kMaxEnds, "inputs or outputs of one node", source);
  Json names = Json::array();
  for (const Value* value : values) names.push_back(checked(value->name(), source));
  return names;
}

const std::string& name_at(const JsonPlace& place) {
  const std::string& name = place.string(kMaxName);
  if (!is_name(name)) place.refuse("is empty or has control characters");
  return name;
}

Shape shape_at(const JsonPlace& place) {
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < place.array(kMaxRank).size(); ++i)
    dims.push_back(place[i].integer(0, kMaxExtent));
  return Shape(std::move(dims));
}

Role role_at(const JsonPlace& place) {
  const std::string& text = place.string();
  for (const Role role : kRoles)
    if (to_string(role) == text) return role;
  place.refuse("must be weight, bias, norm, encoding or buffer, got " + shown_name(text));
}

/// Looks a value up among those defined so far: what makes a cycle or a wrong order impossible.
Value* value_at(const Graph& graph, const JsonPlace& place) {
  const std::string& name = name_at(place);
  Value* value = graph.find_value(name);
  if (value == nullptr) place.refuse(fmt::format("is {}, which is not defined before", name));
  return value;
}

std::vector<Value*> values_at(const Graph& graph, const JsonPlace& list) {
  std::vector<Value*> values;
  for (std::size_t i = 0; i < list.array(kMaxEnds).size(); ++i)
    values.push_back(value_at(graph, list[i]));
  return values;
}

void add_parameter(Graph& graph, const JsonPlace& entry,
                   const std::function<Tensor(const std::string&)>& value_of) {
  const std::string& name = name_at(entry["name"]);
  const Role role = role_at(entry["role"]);
  Tensor tensor = value_of(name);
  const auto dims = tensor.shape().dims();
  if (dims.size() > kMaxRank || std::ranges::any_of(dims, [](auto d) { return d > kMaxExtent; }))
    entry.refuse(fmt::format("has the shape {}, which is too large", tensor.shape()));
  Parameter& parameter = *graph.add_parameter(name, std::move(tensor), role).parameter();
  const bool requires_grad = entry["requires_grad"].boolean();
  if (requires_grad != parameter.requires_grad()) parameter.set_requires_grad(requires_grad);
}

/// Files say where a quantizer stands only if its name does not: so they have always looked.
constexpr std::string_view kPlace = "place";
/// What quantizers were without before these rules existed: such files say nothing about them.
constexpr std::array<std::string_view, 2> kGridRules = {"use_all_two_bit_codes", "limit_encodings"};
constexpr std::array<std::string_view, 3> kOptional = {kPlace, kGridRules[0], kGridRules[1]};

Json quantizer_attributes(const Node& node, QuantizeDequantize& op) {
  op.check_savable();
  Json attributes = attributes_to_json(op);
  // Of a parameter `value` means the same as `parameter`, and no name says it.
  const Value& source = *node.inputs()[0];
  const bool is_of_parameter = source.parameter() != nullptr && op.place() != QuantizerPlace::edge;
  const QuantizerPlace place = is_of_parameter ? QuantizerPlace::parameter : op.place();
  if (place == place_by_name(node.name(), source)) attributes.erase(std::string(kPlace));
  for (const std::string_view rule : kGridRules)
    if (attributes[std::string(rule)] == false) attributes.erase(std::string(rule));
  return attributes;
}

void add_node(Graph& graph, const JsonPlace& entry, Missing missing) {
  const std::string& name = name_at(entry["name"]);
  const std::string& type = entry["type"].string();
  std::unique_ptr<Op> op = make_op(type);
  if (op == nullptr)
    entry.refuse(fmt::format("({}) has the unknown type {}; known are {}", name, shown_name(type),
                             join(op_types())));
  try {
    attributes_from_json(*op, entry["attributes"], missing, kOptional);
  } catch (const Error& error) {
    fail("[{} {}] {}", type, name, error.what());
  }
  const std::vector<Value*> inputs = values_at(graph, entry["inputs"]);
  if (inputs.empty()) entry.refuse("has no inputs");
  NodeNames names{name, {}};
  const JsonPlace outputs = entry["outputs"].array(kMaxEnds);
  for (std::size_t i = 0; i < outputs.size(); ++i) names.outputs.push_back(name_at(outputs[i]));
  if (names.outputs.empty()) outputs.refuse("does not list the outputs that this node has");
  Node& made = graph.add_node(std::move(op), inputs, names);
  if (auto* quantizer = made.as<QuantizeDequantize>();
      quantizer != nullptr && !entry["attributes"].has(kPlace))
    quantizer->set_place(place_by_name(name, *inputs[0]));
}

}  // namespace

Json graph_to_json(const Graph& graph, std::string_view source) {
  check_count(graph.inputs().size(), kMaxEnds, "inputs", source);
  check_count(graph.parameters().size(), kMaxParameters, "parameters", source);
  check_count(graph.nodes().size(), kMaxNodes, "nodes", source);
  Json json = {{"inputs", Json::array()},
               {"parameters", Json::array()},
               {"nodes", Json::array()},
               {"outputs", names_of(graph.outputs(), source)}};
  if (graph.int32_biases()) json["int32_biases"] = true;
  for (const Value* input : graph.inputs())
    json["inputs"].push_back({{"name", checked(input->name(), source)},
                              {"shape", dims_of(input->shape(), input->name(), source)}});
  for (const Parameter* parameter : graph.parameters()) {
    (void)dims_of(parameter->shape(), parameter->name(), source);
    json["parameters"].push_back({{"name", checked(parameter->name(), source)},
                                  {"role", to_string(parameter->role())},
                                  {"requires_grad", parameter->requires_grad()}});
  }
  for (Node* node : graph.nodes()) {
    auto* quantizer = node->as<QuantizeDequantize>();
    json["nodes"].push_back(
        {{"name", checked(node->name(), source)},
         {"type", node->type()},
         {"attributes", quantizer != nullptr ? quantizer_attributes(*node, *quantizer)
                                             : attributes_to_json(node->op())},
         {"inputs", names_of(node->inputs(), source)},
         {"outputs", names_of(node->outputs(), source)}});
  }
  return json;
}

Graph graph_from_json(const JsonPlace& place,
                      const std::function<Tensor(const std::string& name)>& value_of,
                      Missing missing) {
  Graph graph;
  const JsonPlace inputs = place["inputs"].array(kMaxEnds);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    graph.input(name_at(inputs[i]["name"]), shape_at(inputs[i]["shape"]));
  const JsonPlace parameters = place["parameters"].array(kMaxParameters);
  for (std::size_t i = 0; i < parameters.size(); ++i) add_parameter(graph, parameters[i], value_of);
  const JsonPlace nodes = place["nodes"].array(kMaxNodes);
  for (std::size_t i = 0; i < nodes.size(); ++i) add_node(graph, nodes[i], missing);
  graph.set_outputs(values_at(graph, place["outputs"]));
  if (place.has("int32_biases")) graph.set_int32_biases(place["int32_biases"].boolean());
  graph.check();
  return graph;
}

}  // namespace rung::io
