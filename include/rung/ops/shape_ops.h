#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/graph/graph.h"
#include "rung/graph/op.h"

// Ops that move elements or read them with another shape. Axes may count from the end. None of
// their attributes says how large the batch is.

namespace rung {

/// Reorders axes: axis i of the result is axis perm[i] of x. Without perm their order is reversed.
/// ONNX: Transpose; torch.permute.
struct RUNG_API Transpose final : Op {
  std::vector<std::int64_t> perm;

  std::string_view type() const override { return "Transpose"; }
  void visit(AttributeVisitor& visitor) override { visitor("perm", perm); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Transpose>(*this); }
  Traits traits() const override { return {.result = Result::all_of_input}; }
};

/// Leaves out these axes, whose extents must be 1. ONNX allows to name none and then takes all of
/// extent 1; here they must be named, as a batch of one image would lose its axis. ONNX: Squeeze,
/// with the axes as an attribute.
struct RUNG_API Squeeze final : Op {
  std::vector<std::int64_t> axes;

  std::string_view type() const override { return "Squeeze"; }
  void visit(AttributeVisitor& visitor) override { visitor("axes", axes); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Squeeze>(*this); }
  Traits traits() const override { return {.result = Result::input_in_order}; }
};

/// Puts in axes of extent 1 that have these places in the result. ONNX: Unsqueeze, with the axes as
/// an attribute.
struct RUNG_API Unsqueeze final : Op {
  std::vector<std::int64_t> axes;

  std::string_view type() const override { return "Unsqueeze"; }
  void visit(AttributeVisitor& visitor) override { visitor("axes", axes); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Unsqueeze>(*this); }
  Traits traits() const override { return {.result = Result::input_in_order}; }
};

/// Averages over these axes; without any over all. ONNX: ReduceMean, with the axes as an attribute;
/// torch.mean.
struct RUNG_API ReduceMean final : Op {
  std::vector<std::int64_t> axes;
  bool keepdims = true;  ///< averaged axes stay with extent 1; otherwise they are left out

  std::string_view type() const override { return "ReduceMean"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<ReduceMean>(*this); }
};

/// Repeats x to a shape, as Add does; an entry of 1 keeps the extent of x. An entry of 0 is the
/// extent of axis 0 of a second input, which is looked at for that only: the batch size. Inputs: x,
/// batch?. ONNX: Expand, with the shape as an attribute; torch.Tensor.expand.
struct RUNG_API Expand final : Op {
  std::vector<std::int64_t> shape;

  std::string_view type() const override { return "Expand"; }
  void visit(AttributeVisitor& visitor) override { visitor("shape", shape); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Expand>(*this); }
  Traits traits() const override { return {.result = Result::some_of_input}; }
};

/// Takes the parts of x with these numbers along an axis, some perhaps twice. In the result
/// `indices_shape` stands in place of the axis: without extents, the axis is left out. ONNX:
/// Gather, with the indices as attributes; torch.index_select.
struct RUNG_API Gather final : Op {
  std::int64_t axis = 0;
  std::vector<std::int64_t> indices;  ///< may count from the end
  std::vector<std::int64_t> indices_shape;

  std::string_view type() const override { return "Gather"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Gather>(*this); }
  Traits traits() const override { return {.result = Result::some_of_input}; }
};

/// Adds elements in front of and behind those of each axis. ONNX: Pad, with pads and value as
/// attributes.
struct RUNG_API Pad final : Op {
  /// The number in front of each axis, then the number behind each; a negative one takes away.
  std::vector<std::int64_t> pads;
  /// What is added: constant (`value`), reflect (mirrored at the outermost element, which is not
  /// repeated), or edge (the outermost element).
  std::string mode = "constant";
  float value = 0.0f;

  std::string_view type() const override { return "Pad"; }
  void visit(AttributeVisitor& visitor) override;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Pad>(*this); }
  /// Every grid has a zero, but perhaps not another number.
  Traits traits() const override {
    const bool adds_own = mode == "constant" && value != 0.0f;
    return {.result = adds_own ? Result::computed : Result::some_of_input};
  }
};

namespace nn {

/// Adds x with its axes in another order: axis i of the result is axis perm[i] of x.
RUNG_API Var transpose(Var x, std::vector<std::int64_t> perm, std::string_view name);
/// Adds x without these axes, whose extents must be 1.
RUNG_API Var squeeze(Var x, std::vector<std::int64_t> axes, std::string_view name);
/// Adds x with axes of extent 1 at these places of the result.
RUNG_API Var unsqueeze(Var x, std::vector<std::int64_t> axes, std::string_view name);
/// Adds x under another name. torch.nn.Identity.
RUNG_API Var identity(Var x, std::string_view name);

struct MeanOptions {
  std::vector<std::int64_t> axes = {};  ///< none: all
  bool keepdims = false;                ///< averaged axes stay with extent 1
};
/// Adds the averages of x over the axes. torch.mean.
RUNG_API Var mean(Var x, const MeanOptions& options, std::string_view name);

/// Adds x repeated to the shape, in which 1 keeps the extent of x. torch.Tensor.expand.
RUNG_API Var expand(Var x, std::vector<std::int64_t> shape, std::string_view name);
/// Adds x repeated to the shape, in which 1 keeps the extent of x and 0 is the extent of axis 0 of
/// `batch`.
RUNG_API Var expand(Var x, Var batch, std::vector<std::int64_t> shape, std::string_view name);

struct GatherOptions {
  std::int64_t axis = 0;
  std::vector<std::int64_t> indices = {};  ///< may count from the end
  bool keepdims = true;  ///< the axis stays; otherwise there must be one index, whose part is taken
};
/// Adds the parts of x with these numbers along the axis. torch.index_select, torch.select.
RUNG_API Var gather(Var x, const GatherOptions& options, std::string_view name);

struct Pad2dOptions {
  std::int64_t left = 0, right = 0, top = 0, bottom = 0;
};
/// Adds x [N, C, H, W] with zeros around its pixels. torch.nn.ZeroPad2d.
RUNG_API Var zero_pad2d(Var x, const Pad2dOptions& options, std::string_view name);

}  // namespace nn
}  // namespace rung
