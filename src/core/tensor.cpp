#include "rung/core/tensor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/format.h"

namespace rung {
namespace {

constexpr std::size_t kAlignment = 64;                  // one cache line, one AVX-512 register
constexpr std::size_t kLargest = std::size_t{1} << 47;  // bytes: the address space of a process

std::shared_ptr<float> allocate(std::int64_t count) {
  std::size_t bytes = 0;
  require(!__builtin_mul_overflow(static_cast<std::size_t>(count), sizeof(float), &bytes) &&
              bytes <= kLargest,
          "Tensor: {} elements do not fit into memory", count);
  bytes = std::max<std::size_t>((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
  void* memory = std::aligned_alloc(kAlignment, bytes);
  require(memory != nullptr, "Tensor: out of memory for {} MiB", bytes >> 20);
  return std::shared_ptr<float>(static_cast<float*>(memory), std::free);
}

}  // namespace

Tensor::Tensor(Shape shape) : storage_(allocate(shape.numel())), shape_(std::move(shape)) {
  std::memset(pointer(), 0, static_cast<std::size_t>(numel()) * sizeof(float));
}

Tensor::Tensor(Shape shape, std::span<const float> values)
    : storage_(allocate(shape.numel())), shape_(std::move(shape)) {
  require(static_cast<std::int64_t>(values.size()) == numel(), "Tensor: {} needs {} values, got {}",
          shape_, numel(), values.size());
  std::ranges::copy(values, pointer());
}

Tensor::Tensor(Shape shape, std::initializer_list<float> values)
    : Tensor(std::move(shape), std::span<const float>(values.begin(), values.size())) {}

Tensor Tensor::full(Shape shape, float value) {
  Tensor tensor(std::move(shape));
  tensor.fill(value);
  return tensor;
}

float Tensor::item() const {
  require(numel() == 1, "Tensor::item: needs exactly one element, the shape is {}", shape_);
  return *pointer();
}

Tensor Tensor::clone() const { return defined() ? Tensor(shape_, data()) : Tensor(); }

Tensor Tensor::reshape(Shape shape) const {
  require(shape.numel() == numel(), "Tensor::reshape: {} has {} elements, {} needs {}", shape_,
          numel(), shape, shape.numel());
  Tensor view = *this;
  view.shape_ = std::move(shape);
  return view;
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  require(rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0],
          "Tensor::slice: rows [{}, {}) are outside of {}", begin, end, shape_);
  Tensor view = *this;
  view.shape_ = shape_.with(0, end - begin);
  const std::int64_t row = shape_[0] == 0 ? 0 : numel() / shape_[0];
  view.storage_ = std::shared_ptr<float>(storage_, pointer() + begin * row);
  return view;
}

void Tensor::copy_from(const Tensor& other) {
  require(shape_ == other.shape_, "Tensor::copy_from: {} cannot take values of {}", shape_,
          other.shape_);
  if (pointer() != other.pointer()) std::ranges::copy(other.data(), pointer());
}

void Tensor::fill(float value) { std::ranges::fill(data(), value); }

}  // namespace rung
