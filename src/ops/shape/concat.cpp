#include <algorithm>

#include "ops/common.h"
#include "rung/core/parallel.h"
#include "rung/graph/graph.h"
#include "rung/ops/layers.h"

namespace rung {
namespace {

/// Lays its inputs behind each other along an axis.                                  ONNX: Concat
struct Concat final : Op {
  std::int64_t axis = 1;

  std::string_view type() const override { return "Concat"; }
  void visit(AttributeVisitor& visitor) override { visitor("axis", axis); }
  std::vector<Shape> infer(std::span<const Shape> inputs) const override;
  Needs backward_needs() const override { return Needs::nothing(); }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override;
  std::unique_ptr<Op> clone() const override { return std::make_unique<Concat>(*this); }
};

std::vector<Shape> Concat::infer(std::span<const Shape> inputs) const {
  require(!inputs.empty(), "expects at least 1 input");
  const std::int64_t along = require_axis(axis, inputs[0]);
  std::int64_t extent = 0;
  for (const Shape& shape : inputs) {
    require(shape.rank() == inputs[0].rank() && shape.with(along, 0) == inputs[0].with(along, 0),
            "inputs must agree in all but axis {}, got {} and {}", axis, inputs[0], shape);
    extent += shape[along];
  }
  return {inputs[0].with(along, extent)};
}

/// Copies, for each index of the axes before `axis`, the run of floats that belongs to each input.
class ConcatKernel final : public Kernel {
 public:
  ConcatKernel(std::int64_t outer, std::vector<std::int64_t> runs, Format format)
      : outer_(outer), runs_(std::move(runs)) {
    input_formats.assign(runs_.size(), format);
    output_formats = {format};
    keeps_reach = true;
    for (const std::int64_t run : runs_) total_ += run;
  }
  std::string name() const override { return "concat"; }

  void forward(const Io& io) override {
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < runs_.size(); offset += runs_[i++])
      copy({io.input(i).data, runs_[i]}, {io.output(0).data + offset, total_}, runs_[i]);
  }

  void backward(const GradIo& io) override {
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < runs_.size(); offset += runs_[i++])
      if (io.wants(i))
        copy({io.output_grad(0).data + offset, total_}, {io.input_grad(i).data, runs_[i]},
             runs_[i]);
  }

 private:
  struct Rows {
    float* data;
    std::int64_t stride;
  };

  void copy(Rows from, Rows to, std::int64_t run) const {
    parallel_for(outer_, std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, run)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t row = begin; row < end; ++row)
                     std::copy_n(from.data + row * from.stride, run, to.data + row * to.stride);
                 });
  }

  std::int64_t outer_;
  std::vector<std::int64_t> runs_;
  std::int64_t total_ = 0;
};

std::unique_ptr<Kernel> Concat::compile(const KernelContext& context) const {
  const Shape& first = context.inputs[0];
  const std::int64_t along = require_axis(axis, first);
  // Whole channel blocks can be laid behind each other as they are.
  Format format = along == 1 && first.rank() == 4 ? context.formats[0] : Format::plain;
  for (const Shape& shape : context.inputs)
    if (along == 1 && shape[1] % static_cast<std::int64_t>(format) != 0) format = Format::plain;
  std::vector<std::int64_t> runs;
  for (const Shape& shape : context.inputs) runs.push_back(product(shape, along, shape.rank()));
  return std::make_unique<ConcatKernel>(product(first, 0, along), std::move(runs), format);
}

}  // namespace

std::unique_ptr<Op> make_concat() { return std::make_unique<Concat>(); }

Var nn::concat(const std::vector<Var>& inputs, const ConcatOptions& options,
               std::string_view name) {
  require(!inputs.empty(), "[Concat {}] expects at least 1 input", name);
  auto op = std::make_unique<Concat>();
  op->axis = options.axis;
  std::vector<Value*> values;
  for (const Var& input : inputs) values.push_back(&input.value());
  Graph& graph = inputs[0].graph();
  return {graph, graph.add_node(std::move(op), values, name).output()};
}

}  // namespace rung
