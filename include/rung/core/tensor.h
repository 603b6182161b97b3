#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>

#include "rung/core/export.h"
#include "rung/core/shape.h"

namespace rung {

/// A dense float32 array in row-major order. A handle to shared storage: copying is shallow,
/// clone() is deep. Storage is aligned to 64 bytes. Not synchronized between threads.
class RUNG_API Tensor {
 public:
  Tensor() = default;  ///< undefined: defined() is false, numel() is 0
  /// Allocates zeros.
  explicit Tensor(Shape shape);
  /// Copies `values` in row-major order; throws Error if their number is not shape.numel().
  Tensor(Shape shape, std::span<const float> values);
  Tensor(Shape shape, std::initializer_list<float> values);
  static Tensor full(Shape shape, float value);
  static Tensor scalar(float value) { return full(Shape{}, value); }

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  std::int64_t rank() const { return shape_.rank(); }
  std::int64_t size(std::int64_t axis) const { return shape_[axis]; }
  std::int64_t numel() const { return defined() ? shape_.numel() : 0; }

  std::span<float> data() { return {pointer(), static_cast<std::size_t>(numel())}; }
  std::span<const float> data() const { return {pointer(), static_cast<std::size_t>(numel())}; }
  /// Returns the only element; throws Error if there is not exactly one.
  float item() const;
  /// Returns the element at one index per axis, each in [0, extent): x.at(n, c, h, w). Throws Error
  /// otherwise.
  template <typename... Indices>
  float& at(Indices... indices) {
    return data()[offset({static_cast<std::int64_t>(indices)...})];
  }
  template <typename... Indices>
  float at(Indices... indices) const {
    return data()[offset({static_cast<std::int64_t>(indices)...})];
  }

  Tensor clone() const;
  /// Returns a view of the same storage; throws Error if the number of elements differs.
  Tensor reshape(Shape shape) const;
  /// Returns a view of rows [begin, end) of axis 0; throws Error outside.
  Tensor slice(std::int64_t begin, std::int64_t end) const;
  /// Copies the values of `other`, which must have the same shape.
  void copy_from(const Tensor& other);
  void fill(float value);

 private:
  float* pointer() const { return storage_.get(); }
  std::size_t offset(std::initializer_list<std::int64_t> indices) const;

  std::shared_ptr<float> storage_;  // aliases into one allocation, so views keep it alive
  Shape shape_{0};
};

/// Prints as torch does, tensor([[1., 2.], [3., 4.]]) over several lines, and the shape; of more
/// than 1,000 elements only three at either end of each axis.
RUNG_API std::ostream& operator<<(std::ostream& out, const Tensor& tensor);
RUNG_API std::string to_string(const Tensor& tensor);

/// Returns whether two tensors have the same shape and equal elements; NaN equals nothing.
/// torch.equal.
RUNG_API bool equal(const Tensor& a, const Tensor& b);

struct AllcloseOptions {
  double rtol = 1e-5;      ///< relative to the element of `b`
  double atol = 1e-8;      ///< absolute
  bool equal_nan = false;  ///< NaN is close to NaN
};
/// Returns whether |a - b| <= atol + rtol * |b| for all elements; infinities are close only to
/// themselves. Throws Error if the shapes differ. torch.allclose.
RUNG_API bool allclose(const Tensor& a, const Tensor& b, const AllcloseOptions& options = {});

}  // namespace rung
