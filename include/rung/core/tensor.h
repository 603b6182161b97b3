#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "rung/core/export.h"
#include "rung/core/shape.h"

namespace rung {

class Tensor;

/// A dense float32 array in row-major order that can be read, but not written: a handle to the
/// storage of a Tensor. Copying is shallow, clone() is deep. Not synchronized between threads.
class RUNG_API ConstTensor {
 public:
  ConstTensor() = default;  ///< undefined: defined() is false, numel() is 0

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  std::int64_t rank() const { return shape_.rank(); }
  std::int64_t size(std::int64_t axis) const { return shape_[axis]; }
  std::int64_t numel() const { return defined() ? shape_.numel() : 0; }

  std::span<const float> data() const { return {pointer(), static_cast<std::size_t>(numel())}; }
  /// Returns the only element; throws Error if there is not exactly one.
  float item() const;
  /// Returns the element at one index per axis, each in [0, extent): x.at(n, c, h, w). Throws Error
  /// otherwise.
  template <typename... Indices>
  float at(Indices... indices) const {
    return data()[offset({static_cast<std::int64_t>(indices)...})];
  }

  Tensor clone() const;
  /// Returns a view of the same storage; throws Error if the number of elements differs.
  ConstTensor reshape(Shape shape) const;
  /// Returns a view of rows [begin, end) of axis 0; throws Error outside.
  ConstTensor slice(std::int64_t begin, std::int64_t end) const;

 protected:
  ConstTensor(std::shared_ptr<float> storage, Shape shape)
      : storage_(std::move(storage)), shape_(std::move(shape)) {}
  float* pointer() const { return storage_.get(); }
  std::size_t offset(std::initializer_list<std::int64_t> indices) const;

 private:
  std::shared_ptr<float> storage_;  // aliases into one allocation, so views keep it alive
  Shape shape_{0};
};

/// A ConstTensor that can be written. Storage is aligned to 64 bytes.
class RUNG_API Tensor : public ConstTensor {
 public:
  Tensor() = default;
  /// Allocates zeros.
  explicit Tensor(Shape shape);
  /// Copies `values` in row-major order; throws Error if their number is not shape.numel().
  Tensor(Shape shape, std::span<const float> values);
  Tensor(Shape shape, std::initializer_list<float> values);
  static Tensor full(Shape shape, float value);
  static Tensor scalar(float value) { return full(Shape{}, value); }

  using ConstTensor::data;
  std::span<float> data() { return {pointer(), static_cast<std::size_t>(numel())}; }
  using ConstTensor::at;
  template <typename... Indices>
  float& at(Indices... indices) {
    return data()[offset({static_cast<std::int64_t>(indices)...})];
  }

  Tensor reshape(Shape shape) const;
  Tensor slice(std::int64_t begin, std::int64_t end) const;
  /// Copies the values of `other`, which must have the same shape.
  void copy_from(const ConstTensor& other);
  void fill(float value);

 private:
  explicit Tensor(ConstTensor same) : ConstTensor(std::move(same)) {}
};

/// Prints as torch does, tensor([[1., 2.], [3., 4.]]) over several lines, and the shape; of more
/// than 1,000 elements only three at either end of each axis.
RUNG_API std::ostream& operator<<(std::ostream& out, const ConstTensor& tensor);
RUNG_API std::string to_string(const ConstTensor& tensor);

/// Returns whether two tensors have the same shape and equal elements; NaN equals nothing.
/// torch.equal.
RUNG_API bool equal(const ConstTensor& a, const ConstTensor& b);

struct AllcloseOptions {
  double rtol = 1e-5;      ///< relative to the element of `b`
  double atol = 1e-8;      ///< absolute
  bool equal_nan = false;  ///< NaN is close to NaN
};
/// Returns whether |a - b| <= atol + rtol * |b| for all elements; infinities are close only to
/// themselves. Throws Error if the shapes differ. torch.allclose.
RUNG_API bool allclose(const ConstTensor& a, const ConstTensor& b,
                       const AllcloseOptions& options = {});

}  // namespace rung
