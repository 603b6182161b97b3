#include "rung/ops/resize.h"

#include <algorithm>

#include "core/join.h"
#include "ops/common.h"
#include "ops/resize/resize_taps.h"
#include "rung/core/parallel.h"

namespace rung {
namespace {

/// Takes its input in the format it comes in, writes the same, and works plane by plane: one image
/// and one channel block. What it does with a pixel's channels keeps the zeros of the padding.
class ResizeKernel final : public Kernel {
 public:
  ResizeKernel(const Resize& op, const KernelContext& context)
      : block_(static_cast<std::int64_t>(context.formats[0])),
        linear_(op.mode == "linear"),
        w_(context.inputs[0][3]) {
    const Shape &x = context.inputs[0], &y = context.outputs[0];
    planes_ = x[0] * ((x[1] + block_ - 1) / block_);
    x_plane_ = x[2] * x[3] * block_;
    rows_ = resize_taps(op, x[2], y[2], op.scale_h);
    columns_ = resize_taps(op, x[3], y[3], op.scale_w);
    input_formats = output_formats = {context.formats[0]};
    needs = Needs::nothing();
  }
  std::string name() const override { return linear_ ? "resize_linear" : "resize_nearest"; }

  void forward(const Io& io) override {
    each_plane(io.input(0).data, io.output(0).data, [&](const float* x, float* y) {
      each_pixel([&](const ResizeTap& row, const ResizeTap& column, std::int64_t pixel) {
        float* to = y + pixel * block_;
        const float *a = x + at(row.low, column.low), *b = x + at(row.low, column.high),
                    *c = x + at(row.high, column.low), *d = x + at(row.high, column.high);
        const float u = row.weight, v = column.weight;
        if (!linear_)
          std::copy_n(a, block_, to);
        else
          for (std::int64_t k = 0; k < block_; ++k)
            to[k] = (1 - u) * ((1 - v) * a[k] + v * b[k]) + u * ((1 - v) * c[k] + v * d[k]);
      });
    });
  }

  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    each_plane(io.input_grad(0).data, io.output_grad(0).data, [&](float* dx, const float* dy) {
      std::fill_n(dx, x_plane_, 0.0f);
      each_pixel([&](const ResizeTap& row, const ResizeTap& column, std::int64_t pixel) {
        const float* from = dy + pixel * block_;
        float *a = dx + at(row.low, column.low), *b = dx + at(row.low, column.high),
              *c = dx + at(row.high, column.low), *d = dx + at(row.high, column.high);
        const float u = row.weight, v = column.weight;
        for (std::int64_t k = 0; k < block_; ++k) {
          if (!linear_) {
            a[k] += from[k];
            continue;
          }
          // One after the other: at the rim they may be the same pixel.
          a[k] += (1 - u) * (1 - v) * from[k];
          b[k] += (1 - u) * v * from[k];
          c[k] += u * (1 - v) * from[k];
          d[k] += u * v * from[k];
        }
      });
    });
  }

 private:
  std::int64_t at(std::int64_t row, std::int64_t column) const {
    return (row * w_ + column) * block_;
  }

  template <typename X, typename Y, typename Body>
  void each_plane(X* x, Y* y, const Body& body) const {
    const auto y_plane = static_cast<std::int64_t>(rows_.size() * columns_.size()) * block_;
    const std::int64_t grain =
        std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, std::max(x_plane_, y_plane)));
    parallel_for(planes_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane)
        body(x + plane * x_plane_, y + plane * y_plane);
    });
  }

  template <typename Body>
  void each_pixel(const Body& body) const {
    std::int64_t pixel = 0;
    for (const ResizeTap& row : rows_)
      for (const ResizeTap& column : columns_) body(row, column, pixel++);
  }

  std::int64_t block_;
  bool linear_;
  std::int64_t w_, planes_ = 0, x_plane_ = 0;
  std::vector<ResizeTap> rows_, columns_;
};

/// As ResizeKernel, from four rows and four columns.
class CubicKernel final : public Kernel {
 public:
  CubicKernel(const Resize& op, const KernelContext& context)
      : block_(static_cast<std::int64_t>(context.formats[0])), w_(context.inputs[0][3]) {
    const Shape &x = context.inputs[0], &y = context.outputs[0];
    planes_ = x[0] * ((x[1] + block_ - 1) / block_);
    x_plane_ = x[2] * x[3] * block_;
    rows_ = cubic_taps(op, x[2], y[2], op.scale_h);
    columns_ = cubic_taps(op, x[3], y[3], op.scale_w);
    input_formats = output_formats = {context.formats[0]};
    needs = Needs::nothing();
  }
  std::string name() const override { return "resize_cubic"; }

  void forward(const Io& io) override {
    const float* all = io.input(0).data;
    float* result = io.output(0).data;
    each_plane([&](std::int64_t x, std::int64_t y) {
      std::fill_n(result + y, y_plane(), 0.0f);
      each_tap([&](std::int64_t from, std::int64_t to, float weight) {
        for (std::int64_t k = 0; k < block_; ++k) result[y + to + k] += weight * all[x + from + k];
      });
    });
  }

  void backward(const GradIo& io) override {
    if (!io.wants(0)) return;
    float* dx = io.input_grad(0).data;
    const float* dy = io.output_grad(0).data;
    each_plane([&](std::int64_t x, std::int64_t y) {
      std::fill_n(dx + x, x_plane_, 0.0f);
      each_tap([&](std::int64_t from, std::int64_t to, float weight) {
        for (std::int64_t k = 0; k < block_; ++k) dx[x + from + k] += weight * dy[y + to + k];
      });
    });
  }

 private:
  std::int64_t y_plane() const {
    return static_cast<std::int64_t>(rows_.size() * columns_.size()) * block_;
  }

  template <typename Body>
  void each_plane(const Body& body) const {
    parallel_for(planes_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane)
        body(plane * x_plane_, plane * y_plane());
    });
  }

  /// Calls body(place in a plane of x, place in a plane of y, weight).
  template <typename Body>
  void each_tap(const Body& body) const {
    std::int64_t to = 0;
    for (const CubicTap& row : rows_)
      for (const CubicTap& column : columns_) {
        for (std::size_t i = 0; i < 4; ++i)
          for (std::size_t j = 0; j < 4; ++j)
            body((row.at[i] * w_ + column.at[j]) * block_, to, row.weight[i] * column.weight[j]);
        to += block_;
      }
  }

  std::int64_t block_, w_, planes_ = 0, x_plane_ = 0;
  std::vector<CubicTap> rows_, columns_;
};

}  // namespace

void Resize::visit(AttributeVisitor& visitor) {
  visitor("mode", mode);
  visitor("coordinate_transformation_mode", coordinate_transformation_mode);
  visitor("nearest_mode", nearest_mode);
  visitor("scale_h", scale_h);
  visitor("scale_w", scale_w);
  visitor("sizes", sizes);
  if (mode != "cubic") return;
  visitor("cubic_coeff_a", cubic_coeff_a);
  visitor("exclude_outside", exclude_outside);
}

std::vector<Shape> Resize::infer(std::span<const Shape> inputs) const {
  require_input_count(inputs, 1);
  const Shape& x = inputs[0];
  require_images(x);
  require(x[2] > 0 && x[3] > 0, "cannot resize images without pixels, got {}", x);
  const bool by_scales = scale_h != 0.0f || scale_w != 0.0f;
  require(by_scales ? scale_h > 0.0f && scale_w > 0.0f && sizes.empty()
                    : sizes.size() == 2 && sizes[0] > 0 && sizes[1] > 0,
          "needs either two positive scales or sizes [H, W], got {} and {}, [{}]", scale_h, scale_w,
          join(sizes));
  const std::int64_t h = resized_extent(x[2], scale_h, by_scales ? 0 : sizes[0]);
  const std::int64_t w = resized_extent(x[3], scale_w, by_scales ? 0 : sizes[1]);
  resize_taps(*this, x[2], 1, scale_h);  // throws if a mode is unknown
  return {Shape{x[0], x[1], h, w}};
}

std::unique_ptr<Kernel> Resize::compile(const KernelContext& context) const {
  if (mode == "cubic") return std::make_unique<CubicKernel>(*this, context);
  return std::make_unique<ResizeKernel>(*this, context);
}

Var nn::upsample(Var x, const UpsampleOptions& options, std::string_view name) {
  auto op = std::make_unique<Resize>();
  op->scale_h = op->scale_w = static_cast<float>(options.scale);
  op->sizes = options.sizes;
  if (options.mode == UpsampleMode::nearest) {  // torch: pixel floor(i / scale)
    op->coordinate_transformation_mode = "asymmetric";
    op->nearest_mode = "floor";
  } else {
    op->mode = options.mode == UpsampleMode::bicubic ? "cubic" : "linear";
    if (options.mode == UpsampleMode::bilinear_align_corners)
      op->coordinate_transformation_mode = "align_corners";
  }
  return x.graph().add(std::move(op), {x}, name);
}

}  // namespace rung
