#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/element.h"
#include "rung/core/export.h"
#include "rung/core/format.h"
#include "rung/core/rng.h"
#include "rung/core/shape.h"
#include "rung/graph/op.h"

// How an op runs: what a plan compiles it for, what its kernel sees, and kernels that are loops.

namespace rung {

class Observers;
class Parameter;
struct Tuning;

/// Which memory formats a SimpleOp can run on.
enum class Layout {
  plain,                  ///< row-major only; the plan inserts reorders
  elementwise,            ///< any: each output element depends on the same element of the inputs
  elementwise_keeps_zero  ///< the same, and f(0) = 0, so that padded channels stay zero by
                          ///< themselves
};

/// How a tensor of whole numbers (codes + offset, held as floats) turns back into real ones:
/// real = number * scale. Written by the kernel that writes the numbers.
struct CodeScale {
  std::vector<float> scale;  ///< one, or one per channel (axis 0 of a weight)
  float largest = 0.0f;      ///< no number has a larger magnitude
  /// False if no quantizer is at work: the numbers are the real ones, scale is 1.
  bool whole = false;
};

/// One tensor as a kernel sees it. `count` is the number of elements in memory, padding included.
struct View {
  float* data = nullptr;  ///< nullptr if the elements are no floats
  const Shape* shape = nullptr;
  Format format = Format::plain;
  std::int64_t count = 0;
  /// Changes whenever the values may have changed; 0 means "always new" (an activation).
  std::uint64_t version = 0;
  CodeScale* codes = nullptr;  ///< set if data are codes (see KernelContext::takes_codes)
  /// Where the plan keeps what is known of the values: none is NaN or of a larger magnitude. It is
  /// infinity unless a kernel has said otherwise. nullptr: nobody asks.
  double* reach = nullptr;
  void* memory = nullptr;  ///< of the elements, whatever they are
  Element element = Element::f32;
  /// Returns the elements as what they are: std::uint8_t for Element::u8, ...
  template <typename T>
  T* as() const {
    return static_cast<T*>(memory);
  }
  std::span<float> span() const { return {data, static_cast<std::size_t>(count)}; }
};

/// Memory of a plan that a kernel works in.
class WorkingMemory {
 public:
  /// Returns Kernel::workspace bytes that survive from forward until the matching backward.
  template <typename T = float>
  T* workspace() const {
    return static_cast<T*>(workspace_);
  }
  /// Returns Kernel::scratch_forward or scratch_backward bytes that die with this call.
  template <typename T = float>
  T* scratch() const {
    return static_cast<T*>(scratch_);
  }

 protected:
  WorkingMemory(void* workspace, void* scratch) : workspace_(workspace), scratch_(scratch) {}

 private:
  void* workspace_;
  void* scratch_;
};

/// What a kernel's forward gets: inputs to read, outputs to write completely.
class Io : public WorkingMemory {
 public:
  Io(std::span<const View> inputs, std::span<const View> outputs, Mode mode, Rng rng,
     void* workspace, void* scratch, std::span<Parameter* const> parameters,
     const Observers* observers = nullptr)
      : WorkingMemory(workspace, scratch),
        inputs_(inputs),
        outputs_(outputs),
        mode_(mode),
        rng_(rng),
        parameters_(parameters),
        observers_(observers) {}
  std::size_t input_count() const { return inputs_.size(); }
  const View& input(std::size_t i) const { return inputs_[i]; }
  const View& output(std::size_t i) const { return outputs_[i]; }
  Mode mode() const { return mode_; }
  /// Returns a generator of this node and this forward pass.
  Rng rng() const { return rng_; }
  /// Returns the parameter behind input i, or nullptr: for buffers that forward updates.
  Parameter* parameter(std::size_t i) const { return parameters_[i]; }
  /// Returns what a calibration observes in this forward pass, or nullptr if there is none.
  const Observers* observers() const { return observers_; }

 private:
  std::span<const View> inputs_, outputs_;
  Mode mode_;
  Rng rng_;
  std::span<Parameter* const> parameters_;
  const Observers* observers_;
};

/// What a kernel's backward gets. It overwrites the input gradients that are wanted; only tensors
/// announced by backward_needs() may be read.
class GradIo : public WorkingMemory {
 public:
  GradIo(std::span<const View> inputs, std::span<const View> outputs,
         std::span<const View> output_grads, std::span<const View> input_grads, void* workspace,
         void* scratch)
      : WorkingMemory(workspace, scratch),
        inputs_(inputs),
        outputs_(outputs),
        output_grads_(output_grads),
        input_grads_(input_grads) {}
  std::size_t input_count() const { return inputs_.size(); }
  const View& input(std::size_t i) const { return inputs_[i]; }
  const View& output(std::size_t i) const { return outputs_[i]; }
  const View& output_grad(std::size_t i) const { return output_grads_[i]; }
  const View& input_grad(std::size_t i) const { return input_grads_[i]; }
  bool wants(std::size_t i) const { return input_grads_[i].data != nullptr; }

 private:
  std::span<const View> inputs_, outputs_, output_grads_, input_grads_;
};

/// What a plan tells an op when it compiles it.
struct KernelContext {
  std::string_view name;          ///< of the node, for messages
  std::span<const Shape> inputs;  ///< shapes of this plan
  std::span<const Shape> outputs;
  std::span<const Format> formats;  ///< in which the inputs are produced: cheapest to accept
  Format blocked = Format::plain;   ///< the blocked format of this machine and layout policy
  Mode mode = Mode::eval;
  const Tuning* tuning = nullptr;  ///< which way to compute where an op has several (ops/tuning.h)
  std::span<const bool> wants;     ///< which inputs need a gradient; all false in eval
  /// What becomes of output 0 in the pass that writes it, in this order (only if the op accepts
  /// them). Their inputs follow the op's own.
  std::span<const Tail> tails = {};
  /// Inputs 0 and 1 come as codes: compute with whole numbers, which float32 adds up exactly below
  /// 2^24, and scale the sums (only if op.can_take_codes()).
  bool takes_codes = false;
  /// Output 1 gets what output 0 means as codes, of the same format; output 0 is nobody's (data is
  /// nullptr) unless gives_real (only if op.code_channels() > 0).
  bool gives_codes = false;
  bool gives_real = true;

  /// Returns how many inputs are the op's own.
  std::size_t own_inputs() const { return tails.empty() ? inputs.size() : tails[0].first_input; }
};

/// A compiled op: prepared once for fixed shapes and formats, run many times by one thread.
class RUNG_API Kernel {
 public:
  virtual ~Kernel() = default;
  virtual std::string name() const = 0;  ///< implementation, for the printed plan
  virtual void forward(const Io& io) = 0;
  /// Writes every wanted input gradient. The default is for ops that have none.
  virtual void backward(const GradIo& io);
  /// Returns the output whose gradient simply is that of input i (a view, a sum), or -1.
  virtual int gradient_is_output(std::size_t) const { return -1; }
  /// Returns an earlier input whose gradient is the same as that of input i (a clipped sum), or -1.
  virtual int gradient_is_input(std::size_t) const { return -1; }
  /// True if output 0 is the memory of input 0 read with another shape: nothing runs.
  virtual bool is_view() const { return false; }

  /// True if the output written last may be the memory of input 0, when nobody else reads that.
  virtual bool in_place() const { return false; }

  /// True if a quantizer writes output 0, of at most 256 different numbers: the plan may keep a
  /// byte for each from forward to backward.
  virtual bool packs() const { return false; }
  /// Writes output 0 as codes, and the same numbers back (zero may change its sign).
  virtual void pack(const View& /*y*/, std::uint8_t* /*codes*/) const {}
  virtual void unpack(const std::uint8_t* /*codes*/, const View& /*y*/) const {}

  std::vector<Format> input_formats, output_formats;  ///< required and produced
  std::int64_t workspace = 0;                         ///< bytes that live from forward to backward
  std::int64_t scratch_forward = 0;                   ///< bytes that live during one call
  std::int64_t scratch_backward = 0;
  /// True if no output is NaN, or of a larger magnitude than every input, while all inputs are
  /// finite (clipping, pooling): View::reach of the outputs follows from that of the inputs.
  bool keeps_reach = false;
  /// Floating-point operations of one call, for profiles; 0 for loops that memory bounds.
  double flops_forward = 0, flops_backward = 0;
  Needs needs;  ///< as op.backward_needs() unless the kernel knows better
};

/// Implements Op for kernels that are plain loops: derive as `struct Square : SimpleOp<Square>`,
/// give `static constexpr std::string_view kType`, optionally `static constexpr Layout kLayout`,
/// and `void forward(const Io&) const`, `void backward(const GradIo&) const`.
template <typename Derived>
class SimpleOp : public Op {
 public:
  static constexpr Layout kLayout = Layout::plain;
  std::string_view type() const override { return Derived::kType; }
  void visit(AttributeVisitor&) override {}
  Needs backward_needs() const override { return Needs::inputs(); }
  std::unique_ptr<Op> clone() const override {
    return std::make_unique<Derived>(static_cast<const Derived&>(*this));
  }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
};

namespace detail {

/// Sets the formats of a loop kernel and clears padded channels behind ops that do not keep zero.
RUNG_API void set_simple_formats(Kernel& kernel, Layout layout, const KernelContext& context);
RUNG_API void clear_padding(const View& view);

template <typename Derived>
class SimpleKernel final : public Kernel {
 public:
  explicit SimpleKernel(const Derived& op) : op_(op) {}
  std::string name() const override { return "loop"; }
  void forward(const Io& io) override {
    op_.forward(io);
    if constexpr (Derived::kLayout == Layout::elementwise) clear_padding(io.output(0));
  }
  void backward(const GradIo& io) override {
    op_.backward(io);
    if constexpr (Derived::kLayout == Layout::elementwise)
      for (std::size_t i = 0; i < io.input_count(); ++i)
        if (io.wants(i)) clear_padding(io.input_grad(i));
  }

 private:
  Derived op_;
};

}  // namespace detail

template <typename Derived>
std::unique_ptr<Kernel> SimpleOp<Derived>::compile(const KernelContext& context) const {
  auto kernel = std::make_unique<detail::SimpleKernel<Derived>>(static_cast<const Derived&>(*this));
  kernel->needs = backward_needs();
  detail::set_simple_formats(*kernel, Derived::kLayout, context);
  return kernel;
}

}  // namespace rung
