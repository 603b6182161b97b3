#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/graph/op.h"

namespace rung {

class Graph;
class Node;
class Value;

/// What a parameter is for; optimizers group by it.
enum class Role { weight, bias, norm, encoding, buffer };
RUNG_API std::string_view to_string(Role role);

/// A tensor that belongs to a model (or to several, see Graph::extract): read through value(),
/// written only through edit(), which bumps version(), so that nothing derived from it (reordered,
/// quantized, folded) can be stale.
class RUNG_API Parameter {
 public:
  Parameter(std::string name, Tensor value, Role role);
  const std::string& name() const { return name_; }  ///< PyTorch's state_dict key
  const Shape& shape() const { return value_.shape(); }
  Role role() const { return role_; }
  const ConstTensor& value() const { return value_; }
  Tensor& edit() {
    ++version_;
    return value_;
  }
  std::uint64_t version() const { return version_; }  ///< starts at 1

  bool requires_grad() const { return requires_grad_; }
  /// Says whether backward computes a gradient; buffers never have one (throws Error).
  void set_requires_grad(bool wanted);
  /// Returns the gradient, zeros of the parameter's shape before the first backward.
  Tensor& grad();
  /// True if a backward has added to the gradient since the last zero_grad().
  bool has_grad() const { return has_grad_; }
  void zero_grad() { has_grad_ = false; }
  /// Adds to the gradient (PyTorch's accumulation).
  void add_grad(std::span<const float> contribution);

 private:
  friend class Graph;
  friend class Plan;  // kernels read parameters through pointers that are not const
  std::string name_;
  Tensor value_, grad_;
  Role role_;
  bool requires_grad_;
  bool has_grad_ = false;
  std::uint64_t version_ = 1;
  // The versions of the graphs that it belongs to: requires_grad changes plans.
  std::vector<std::weak_ptr<std::uint64_t>> structures_;
};

/// A place where a value is read: input `index` of `node`.
struct Use {
  Node* node = nullptr;
  std::size_t index = 0;
  friend bool operator==(const Use&, const Use&) = default;
};

/// A named tensor of the graph: an input, a parameter, or the output of a node.
class RUNG_API Value {
 public:
  const std::string& name() const { return name_; }
  /// The shape with the sizes the graph was built with; a plan infers again for what really comes.
  const Shape& shape() const { return shape_; }
  Node* producer() const { return producer_; }  ///< nullptr for inputs and parameters
  std::size_t output_index() const { return output_index_; }
  std::span<const Use> uses() const { return uses_; }
  Parameter* parameter() const { return parameter_.get(); }  ///< nullptr unless a parameter
  bool is_input() const { return producer_ == nullptr && parameter_ == nullptr; }

 private:
  friend class Graph;
  std::string name_;
  Shape shape_;
  Node* producer_ = nullptr;
  std::size_t output_index_ = 0;
  std::vector<Use> uses_;
  std::shared_ptr<Parameter> parameter_;  // shared with graphs that were extracted
};

/// One named operation.
class RUNG_API Node {
 public:
  const std::string& name() const { return name_; }
  std::string_view type() const { return op_->type(); }
  const Op& op() const { return *op_; }
  /// Gives access to the op's run-time state (a quantizer's). Changing attributes that plans are
  /// built from needs Graph::touch().
  Op& op() { return *op_; }
  std::span<Value* const> inputs() const { return inputs_; }
  std::span<Value* const> outputs() const { return outputs_; }
  Value& output() const { return *outputs_[0]; }
  /// Returns the op as a T, or nullptr if it is another one.
  template <typename T>
  T* as() {
    return dynamic_cast<T*>(op_.get());
  }
  template <typename T>
  const T* as() const {
    return dynamic_cast<const T*>(op_.get());
  }

 private:
  friend class Graph;
  std::string name_;
  std::unique_ptr<Op> op_;
  std::vector<Value*> inputs_, outputs_;
};

/// The names of a node and of each of its outputs, as they stand (no Scope): for files in which
/// they differ.
struct NodeNames {
  std::string node;
  std::vector<std::string> outputs;
};

/// A light handle to a value of a graph: what layer functions take and return.
class RUNG_API Var {
 public:
  Var(Graph& graph, Value& value) : graph_(&graph), value_(&value) {}
  Graph& graph() const { return *graph_; }
  Value& value() const { return *value_; }
  const std::string& name() const { return value_->name(); }
  const Shape& shape() const { return value_->shape(); }
  std::int64_t channels() const { return shape()[1]; }  ///< of [N, C, ...]

 private:
  Graph* graph_;
  Value* value_;
};

struct ExtractOptions {
  /// The new graph has the same parameters: edits and gradients are seen in both, each lives as
  /// long as one of the graphs. false: copies of its own.
  bool share_parameters = true;
};

/// The model: named nodes and values, topologically sorted through every edit. Owns them; their
/// addresses are stable. Movable, and copied deeply by clone(). Not synchronized between threads.
class RUNG_API Graph {
 public:
  Graph();
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  /// Copies nodes, values, parameters and quantizer state; shares nothing.
  Graph clone() const;
  /// Returns the part that computes `outputs` from `inputs`, values by name, under the same names:
  /// one layer, a block, everything behind a value. Inputs may be any values, parameters too; those
  /// inside the network become inputs of the new graph. Ops are copied with the state they have
  /// (which quantizers are enabled, their bitwidths); parameters are shared, unless the options say
  /// otherwise. Without inputs: a part that depends on parameters alone. Throws Error naming the
  /// value, with nothing changed, if a name is unknown or given twice, an output does not depend on
  /// the inputs, no output depends on an input, or an output also needs an input of the graph that
  /// is not among `inputs`.
  Graph extract(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                const ExtractOptions& options = {}) const;

  /// Returns the seed that layers draw their first weights from: 0 unless it was set.
  std::optional<std::uint64_t> seed() const { return state_->seed; }
  /// Sets it for the layers that are added from now on; none: their weights stay zeros, for models
  /// whose weights come from nn::init_parameters or a file.
  void set_seed(std::optional<std::uint64_t> seed) { state_->seed = seed; }

  // ---- building; names get the prefix of the open Scopes
  /// Adds an input; extents only matter for shape checks, plans take what really comes.
  Var input(std::string_view name, Shape shape);
  Var parameter(std::string_view name, Tensor value, Role role);
  /// Adds a node whose single output has the node's name (several: name, name.1, ...). Throws Error
  /// if the name is taken or the shapes do not fit: nothing is changed then.
  Node& add_node(std::unique_ptr<Op> op, std::span<Value* const> inputs, std::string_view name);
  /// The same with outputs that have names of their own.
  Node& add_node(std::unique_ptr<Op> op, std::span<Value* const> inputs, const NodeNames& names);
  Var add(std::unique_ptr<Op> op, std::initializer_list<Var> inputs, std::string_view name);
  void set_outputs(std::initializer_list<Var> outputs);
  void set_outputs(std::vector<Value*> outputs);
  /// Returns `name` with the prefix of the open Scopes.
  std::string scoped(std::string_view name) const;

  /// Whether plans round the biases of layers between quantizers to whole multiples of scale_x *
  /// scale_w[c], which is what the int32 biases of integer hardware are. Gradients pass as if
  /// nothing were rounded. Off at first; clone() and model files keep it.
  bool int32_biases() const { return int32_biases_; }
  void set_int32_biases(bool wanted);

  // ---- looking
  std::vector<Node*> nodes() const;  ///< producers before consumers
  std::span<Value* const> inputs() const { return inputs_; }
  std::span<Value* const> outputs() const { return outputs_; }
  bool is_output(const Value& value) const;
  std::vector<Parameter*> parameters() const;  ///< in order of creation, buffers and encodings too
  std::vector<Parameter*> parameters(Role role) const;
  /// Returns the named one; throws Error with the closest names if there is none.
  Parameter& parameter(std::string_view name) const;
  Value& value(std::string_view name) const;
  Node& node(std::string_view name) const;
  Value* find_value(std::string_view name) const;  ///< nullptr if there is none
  Node* find_node(std::string_view name) const;
  std::vector<Value*> values() const;

  // ---- rewriting; strong guarantee: on Error the graph is as before
  /// Puts a node behind `value` for all its consumers and, if it is a graph output, the output too.
  /// `extra` are its further inputs (parameters); its name is taken as it stands.
  Node& insert_after(Value& value, std::unique_ptr<Op> op, std::span<Value* const> extra,
                     std::string_view name);
  /// Puts a node on one edge only.
  Node& insert_on_edge(Use use, std::unique_ptr<Op> op, std::span<Value* const> extra,
                       std::string_view name);
  /// Adds a parameter under its full name (no Scope).
  Value& add_parameter(std::string_view full_name, Tensor value, Role role);
  /// Makes the consumers of `from` (and the graph's outputs) read `to`.
  void replace_uses(Value& from, Value& to);
  /// Adds an input at the end of a node's list (a bias that folding creates).
  void append_input(Node& node, Value& value);
  /// Makes one input of a node read another value of the same shape, which must not depend on it.
  void replace_input(Use use, Value& value);
  /// Replaces what a node computes; its name, inputs and outputs stay. Throws Error unless the new
  /// op gives outputs of the same shapes.
  void replace_op(Node& node, std::unique_ptr<Op> op);
  /// Removes a node whose outputs nobody reads, and its parameters that nobody else reads.
  void remove_node(Node& node);
  /// Removes a one-in-one-out node: its consumers read its first input.
  void bypass_node(Node& node);

  /// Counts structural edits: nodes, edges, which parameters need gradients. Keys compiled plans.
  std::uint64_t version() const { return state_->version; }
  void touch() { ++state_->version; }
  /// Asserts every invariant (order, uses, names); throws Error naming the broken one.
  void check() const;
  std::string to_string() const;

 private:
  /// What stays at its address when the graph moves: parameters point at the version.
  struct State {
    std::uint64_t version = 1;
    std::optional<std::uint64_t> seed = 0;
  };
  friend class Scope;
  struct Part;
  Graph copy(const Part& part) const;
  void give(Value& value, std::shared_ptr<Parameter> parameter) const;
  Value& new_value(std::string name, Shape shape);
  Node& place_node(std::size_t position, std::unique_ptr<Op> op, std::span<Value* const> inputs,
                   NodeNames names);
  std::size_t position_of(const Node& node) const;
  std::size_t position_after(const Value& value) const;
  void erase_value(Value& value);

  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Value>> values_;
  std::map<std::string, Value*, std::less<>> value_names_;
  std::map<std::string, Node*, std::less<>> node_names_;
  std::vector<Value*> inputs_, outputs_;
  std::vector<std::string> scopes_;
  std::shared_ptr<State> state_;
  bool int32_biases_ = false;
};

RUNG_API std::ostream& operator<<(std::ostream& out, const Graph& graph);

/// Prefixes the names of what is added while it lives: Scope(graph, "layer1") -> "layer1.conv1".
class RUNG_API Scope {
 public:
  Scope(Graph& graph, std::string_view name);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Graph& graph_;
};

}  // namespace rung
