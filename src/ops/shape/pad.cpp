#include <algorithm>

#include "core/join.h"
#include "ops/common.h"
#include "rung/core/parallel.h"
#include "rung/ops/shape_ops.h"

namespace rung {
namespace {

enum class PadMode { constant, reflect, edge };

PadMode parse_mode(const std::string& mode) {
  if (mode == "constant") return PadMode::constant;
  if (mode == "reflect") return PadMode::reflect;
  if (mode == "edge") return PadMode::edge;
  fail("mode must be constant, reflect or edge, got {}", mode);
}

/// Returns which element of an axis stands at place i - pad of the padded one; -1: the value.
std::int64_t source(std::int64_t i, std::int64_t extent, PadMode mode) {
  if (i >= 0 && i < extent) return i;
  if (mode == PadMode::constant) return -1;
  if (mode == PadMode::edge) return std::clamp<std::int64_t>(i, 0, extent - 1);
  return i < 0 ? -i : 2 * (extent - 1) - i;
}

class PadKernel final : public Kernel {
 public:
  PadKernel(const Pad& op, const KernelContext& context) : value_(op.value) {
    const Shape &x = context.inputs[0], &y = context.outputs[0];
    const PadMode mode = parse_mode(op.mode);
    // Axes in front that are not padded are many independent blocks.
    std::int64_t first = 0;
    const auto rank = static_cast<std::size_t>(x.rank());
    while (first < x.rank() && op.pads[first] == 0 && op.pads[first + rank] == 0) ++first;
    blocks_ = product(x, 0, first);
    x_block_ = product(x, first, x.rank());
    y_block_ = product(y, first, y.rank());
    sources_ = {0};
    for (std::int64_t axis = first; axis < x.rank(); ++axis) {
      std::vector<std::int64_t> next;
      for (const std::int64_t base : sources_)
        for (std::int64_t i = 0; i < y[axis]; ++i) {
          const std::int64_t from = source(i - op.pads[axis], x[axis], mode);
          next.push_back(base < 0 || from < 0 ? -1 : base * x[axis] + from);
        }
      sources_ = std::move(next);
    }
    input_formats = output_formats = {Format::plain};
    needs = Needs::nothing();
  }
  std::string name() const override { return "pad"; }

  void forward(const Io& io) override {
    each_block([&](std::int64_t block) {
      const float* x = io.input(0).data + block * x_block_;
      float* y = io.output(0).data + block * y_block_;
      for (std::int64_t i = 0; i < y_block_; ++i) y[i] = sources_[i] < 0 ? value_ : x[sources_[i]];
    });
  }
  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    each_block([&](std::int64_t block) {
      const float* dy = io.output_grad(0).data + block * y_block_;
      float* dx = io.input_grad(0).data + block * x_block_;
      std::fill_n(dx, x_block_, 0.0f);
      for (std::int64_t i = 0; i < y_block_; ++i)
        if (sources_[i] >= 0) dx[sources_[i]] += dy[i];
    });
  }

 private:
  template <typename Body>
  void each_block(const Body& body) const {
    const std::int64_t grain =
        std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, y_block_));
    parallel_for(blocks_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block) body(block);
    });
  }

  float value_;
  std::int64_t blocks_ = 1, x_block_ = 1, y_block_ = 1;
  std::vector<std::int64_t> sources_;  // of the elements of a padded block; -1: the value
};

}  // namespace

void Pad::visit(AttributeVisitor& visitor) {
  visitor("pads", pads);
  visitor("mode", mode);
  visitor("value", value);
}

std::vector<Shape> Pad::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  const Shape& x = inputs[0];
  const PadMode parsed = parse_mode(mode);
  const auto rank = static_cast<std::size_t>(x.rank());
  require(pads.size() == 2 * rank, "pads [{}] must have two entries for each axis of {}",
          join(pads), x);
  std::vector<std::int64_t> extents;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const std::int64_t extent = x[static_cast<std::int64_t>(axis)];
    const std::int64_t before = pads[axis], behind = pads[axis + rank];
    constexpr std::int64_t kLargest = std::int64_t{1} << 31;
    require(std::abs(before) <= kLargest && std::abs(behind) <= kLargest && extent + before >= 0 &&
                extent + behind >= 0 && extent + before + behind >= 0,
            "pads [{}] take away more than {} has", join(pads), x);
    require(parsed != PadMode::reflect || (before < std::max<std::int64_t>(extent, 1) &&
                                           behind < std::max<std::int64_t>(extent, 1)),
            "reflect needs pads below the extents of {}, got [{}]", x, join(pads));
    require(parsed != PadMode::edge || extent > 0 || (before <= 0 && behind <= 0),
            "edge has nothing to repeat in {}", x);
    extents.push_back(extent + before + behind);
  }
  return {Shape(std::move(extents))};
}

std::unique_ptr<Kernel> Pad::compile(const KernelContext& context) const {
  return std::make_unique<PadKernel>(*this, context);
}

Var nn::zero_pad2d(Var x, const Pad2dOptions& options, std::string_view name) {
  auto op = std::make_unique<Pad>();
  op->pads = {0, 0, options.top, options.left, 0, 0, options.bottom, options.right};
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
