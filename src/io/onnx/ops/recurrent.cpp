// GRU, LSTM and RNN.

#include <algorithm>
#include <cctype>
#include <map>

#include "core/join.h"
#include "io/files/names.h"
#include "io/onnx/import/make_op.h"
#include "io/onnx/ops/rule.h"

namespace rung::io::onnx_ops {
namespace {

class RecurrentConverter {
 public:
  RecurrentConverter(Importer& importer, const NodeReader& node)
      : importer_(importer),
        node_(node),
        direction_(node.text("direction", "forward")),
        first_batch_(node.integer("layout", 0) != 0),
        has_cell_state_(node.type() == "LSTM") {}

  void convert() {
    std::map<std::string, AttributeValue, std::less<>> attributes = {{"direction", direction_}};
    if (node_.type() == "GRU")
      attributes["linear_before_reset"] = node_.integer("linear_before_reset", 0) != 0;
    const std::vector<std::string> functions = check_functions();
    if (node_.type() == "RNN") attributes["relu"] = functions[0] == "relu";
    check_rest();

    Value* x = &importer_.value(node_.input(0));
    if (first_batch_) x = &swapped("steps", *x, {1, 0, 2});
    std::vector<Value*> inputs = {x, &importer_.parameter(node_.input(1), Role::weight),
                                  &importer_.parameter(node_.input(2), Role::weight), &bias()};
    for (Value* state : first_states()) inputs.push_back(state);
    check_lengths(*x);
    add_outputs(make_op(node_.type(), std::move(attributes)), inputs);
  }

 private:
  bool both() const { return direction_ == "bidirectional"; }

  /// Throws Error unless the gates' functions are the usual ones; returns their names in small
  /// letters.
  std::vector<std::string> check_functions() const {
    std::vector<std::string> functions = node_.texts("activations");
    for (std::string& each : functions)
      std::ranges::transform(each, each.begin(), [](unsigned char c) { return std::tolower(c); });
    std::vector<std::string> usual = {"sigmoid", "tanh", "tanh"};
    if (node_.type() == "GRU") usual = {"sigmoid", "tanh"};
    if (node_.type() == "RNN") usual = {"tanh"};
    if (functions.empty()) return usual;
    if (node_.type() == "RNN" && functions[0] == "relu") usual = {"relu"};
    if (both()) usual.insert(usual.end(), usual.begin(), usual.end());
    require(functions == usual, "has the activations {}: {} are imported", join(functions),
            join(usual));
    return functions;
  }

  void check_rest() const {
    node_.ignore("hidden_size");  // the weights say it
    require(!node_.has("clip"), "clips its gates, which is not imported");
    require(node_.integer("input_forget", 0) == 0, "couples its gates, which is not imported");
    require(!node_.has_input(7), "has peepholes, which are not imported");
    require(!has_cell_state_ || !is_read(2), "gives its cell state away, which is not imported");
  }

  Value& bias() {
    if (node_.has_input(3)) return importer_.parameter(node_.input(3), Role::bias);
    const std::string& recurrence = node_.input(2);
    const Shape shape = importer_.is_constant(recurrence) ? importer_.constant(recurrence)->shape
                                                          : importer_.value(recurrence).shape();
    require(shape.rank() == 3, "needs weights [D, G H, H], got {}", shape);
    return importer_.add_parameter(importer_.fresh_name(first_name() + ".bias"),
                                   Tensor(Shape{shape[0], 2 * shape[1]}), Role::bias);
  }

  /// Returns the first states; none if they are zero, as for any batch size.
  std::vector<Value*> first_states() {
    std::vector<Value*> states;
    bool all_zero = true;
    for (const std::size_t i : {5u, 6u}) {
      if (!node_.has_input(i)) continue;
      states.push_back(&importer_.value(node_.input(i)));
      all_zero = all_zero && is_zero(*states.back());
    }
    if (all_zero) return {};
    require(states.size() == (has_cell_state_ ? 2 : 1), "has one first state, two are needed");
    if (first_batch_)
      for (Value*& each : states) each = &swapped("first", *each, {1, 0, 2});
    return states;
  }

  /// True for a constant 0, repeated or not.
  static bool is_zero(const Value& value) {
    const Value* source = &value;
    while (source->producer() != nullptr && source->producer()->type() == "Expand")
      source = source->producer()->inputs()[0];
    return source->parameter() != nullptr && source->parameter()->role() == Role::buffer &&
           std::ranges::all_of(source->parameter()->value().data(), [](float v) { return v == 0; });
  }

  void check_lengths(const Value& x) {
    if (!node_.has_input(4)) return;
    const ConstantPtr lengths = importer_.constant(node_.input(4));
    require(lengths->is_integer() &&
                std::ranges::all_of(lengths->integers,
                                    [&](std::int64_t length) { return length == x.shape()[0]; }) &&
                lengths->per_batch.empty(),
            "has sequences of different lengths, which are not imported");
  }

  bool is_read(std::size_t output) const {
    return node_.has_output(output) && (importer_.is_output(node_.output(output)) ||
                                        !importer_.readers(node_.output(output)).empty());
  }
  const std::string& first_name() const {
    return node_.has_output(0) ? node_.output(0) : node_.output(1);
  }
  Value& step(std::string_view suffix, std::unique_ptr<Op> op, const std::vector<Value*>& inputs) {
    return importer_.add_named(importer_.fresh_name(fmt::format("{}.{}", first_name(), suffix)),
                               std::move(op), inputs);
  }
  Value& swapped(std::string_view suffix, Value& x, const Integers& perm) {
    return step(suffix, make_op("Transpose", {{"perm", perm}}), {&x});
  }
  static std::unique_ptr<Op> part(std::int64_t axis, std::int64_t index, bool keeps_axis) {
    return make_op("Gather", {{"axis", axis},
                              {"indices", Integers{index}},
                              {"indices_shape", keeps_axis ? Integers{1} : Integers{}}});
  }

  /// All states [T, D, N, H], and the last one of each direction, [D, N, H], which is a part.
  void add_outputs(std::unique_ptr<Op> op, const std::vector<Value*>& inputs) {
    Value* all = nullptr;
    if (node_.has_output(0) && !first_batch_) {
      all = &importer_.add(node_, std::move(op), inputs);
    } else {
      all = &step("states", std::move(op), inputs);
      if (node_.has_output(0))
        importer_.add(node_, make_op("Transpose", {{"perm", Integers{2, 0, 1, 3}}}), {all});
    }
    if (!is_read(1)) return;
    const auto finish = [&](std::unique_ptr<Op> last, const std::vector<Value*>& from) {
      if (!first_batch_) {
        importer_.add(node_, std::move(last), from, 1);
        return;
      }
      Value& state = step("last", std::move(last), from);
      importer_.add(node_, make_op("Transpose", {{"perm", Integers{1, 0, 2}}}), {&state}, 1);
    };
    if (!both()) return finish(part(0, direction_ == "reverse" ? 0 : -1, false), {all});
    Value& end = step("end", part(0, -1, false), {all});
    Value& begin = step("begin", part(0, 0, false), {all});
    Value& forward = step("end_forward", part(0, 0, true), {&end});
    Value& reverse = step("begin_reverse", part(0, 1, true), {&begin});
    finish(make_op("Concat", {{"axis", std::int64_t{0}}}), {&forward, &reverse});
  }

  Importer& importer_;
  const NodeReader& node_;
  std::string direction_;
  bool first_batch_, has_cell_state_;
};

void read_recurrent(Importer& importer, const NodeReader& node) {
  RecurrentConverter(importer, node).convert();
}

/// The first states stand behind the lengths of the sequences, which we do not have.
void write_recurrent(Export& to) {
  const Shape& recurrence = to.node.inputs()[2]->shape();
  const std::int64_t directions = recurrence[0], hidden = recurrence[2];
  to.attributes.put("hidden_size", hidden);
  if (to.inputs.size() > 4) to.inputs.insert(to.inputs.begin() + 4, "");
  if (to.node.type() == "RNN" && to.attributes.take<std::int64_t>("relu") != 0)
    to.attributes.put("activations", Strings(static_cast<std::size_t>(directions), "Relu"));
  to.write();
}

}  // namespace

std::vector<OnnxRule> recurrent_rules() {
  return {
      {.type = "GRU", .read = read_recurrent, .write = write_recurrent},
      {.type = "LSTM", .read = read_recurrent, .write = write_recurrent},
      {.type = "RNN", .read = read_recurrent, .write = write_recurrent},
  };
}

}  // namespace rung::io::onnx_ops
