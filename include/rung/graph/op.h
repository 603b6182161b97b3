#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/attributes.h"
#include "rung/core/export.h"
#include "rung/core/shape.h"
#include "rung/graph/tail.h"
#include "rung/graph/traits.h"

namespace rung {

class Parameter;
class Kernel;
struct KernelContext;

/// What a forward pass is for. `train` keeps what backward needs, uses batch statistics and
/// dropout; `eval` keeps nothing.
enum class Mode { eval, train };

/// Which tensors of the forward pass an op's backward reads: bit i stands for input or output i.
/// The memory planner keeps exactly these alive.
struct Needs {
  std::uint32_t input_bits = 0;
  std::uint32_t output_bits = 0;
  static constexpr Needs nothing() { return {}; }
  static constexpr Needs inputs(std::uint32_t bits = ~0u) { return {bits, 0}; }
  static constexpr Needs outputs(std::uint32_t bits = ~0u) { return {0, bits}; }
};

/// What one kind of node computes: its attributes, its shape rule, its forward and its gradient.
/// Ops are data that a graph owns; what is prepared for a run lives in the Kernel.
class RUNG_API Op {
 public:
  virtual ~Op() = default;
  virtual std::string_view type() const = 0;  ///< the ONNX name
  virtual void visit(AttributeVisitor& visitor) = 0;
  /// Returns the output shapes; throws Error (the graph adds the node's name) if inputs do not fit.
  virtual std::vector<Shape> infer(std::span<const Shape> inputs) const = 0;
  virtual Needs backward_needs() const = 0;
  virtual std::unique_ptr<Kernel> compile(const KernelContext& context) const = 0;
  virtual std::unique_ptr<Op> clone() const = 0;
  /// Returns what passes over a graph have to know; the default is right for most functions.
  virtual Traits traits() const { return {}; }
  /// True if compile() honours KernelContext::tails that do this (if there are some), in this mode.
  virtual bool accepts(const Tails& /*tails*/, Mode) const { return false; }
  /// Returns what the kernel before this op can do in its place, if it can. Plans are compiled
  /// again when that changes.
  virtual std::optional<Tail> tail() const { return std::nullopt; }
  /// True if forward writes at most 256 different numbers as long as nobody changes the op (a
  /// quantizer of up to 8 bits). Plans for training are compiled again when it changes.
  virtual bool fits_byte() const { return false; }
  /// True if compile() honours KernelContext::takes_codes: y = sum of x * w, plus a bias.
  virtual bool can_take_codes() const { return false; }
  /// Returns how many scales the codes have that compile() can give (KernelContext::gives_codes):
  /// 1 per tensor, or one per element of axis 0; 0 if it cannot.
  virtual std::int64_t code_channels() const { return 0; }
  /// Makes parameters legal (a learned range keeps zero). Runs before the first use after a change
  /// of any of them, whoever changed it; entries of inputs that are no parameters are nullptr.
  virtual void constrain(std::span<Parameter* const>) const {}
  /// True if constrain() does something.
  virtual bool has_constraint() const { return false; }
  /// Rises whenever run-time state that forward depends on changes (a quantizer's bitwidth), so
  /// that what eval derives from parameters alone is computed again exactly when needed. None: it
  /// cannot be told, and is computed again every time.
  virtual std::optional<std::uint64_t> state_version() const { return 0; }
};

}  // namespace rung
