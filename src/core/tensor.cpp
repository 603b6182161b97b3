#include "rung/core/tensor.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "core/check.h"
#include "core/join.h"

namespace rung {
namespace {

constexpr std::size_t kAlignment = 64;                  // one cache line, one AVX-512 register
constexpr std::size_t kLargest = std::size_t{1} << 47;  // bytes: the address space of a process

std::size_t padded_bytes(std::int64_t count) {
  std::size_t bytes = 0;
  require(!__builtin_mul_overflow(static_cast<std::size_t>(count), sizeof(float), &bytes) &&
              bytes <= kLargest,
          "Tensor: {} elements do not fit into memory", count);
  return std::max<std::size_t>((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
}

std::shared_ptr<float> allocate(std::int64_t count) {
  const std::size_t bytes = padded_bytes(count);
  void* memory = std::aligned_alloc(kAlignment, bytes);
  require(memory != nullptr, "Tensor: out of memory for {} MiB", bytes >> 20);
  return std::shared_ptr<float>(static_cast<float*>(memory), std::free);
}

/// Large zeros are pages that the system provides when they are touched, so that the graph of a
/// large model costs next to nothing until it gets its weights.
std::shared_ptr<float> allocate_zeros(std::int64_t count) {
  const std::size_t bytes = padded_bytes(count) + kAlignment;
  void* memory = std::calloc(bytes, 1);
  require(memory != nullptr, "Tensor: out of memory for {} MiB", bytes >> 20);
  std::shared_ptr<void> owner(memory, std::free);
  std::size_t space = bytes;
  void* aligned = std::align(kAlignment, bytes - kAlignment, memory, space);
  return std::shared_ptr<float>(std::move(owner), static_cast<float*>(aligned));
}

}  // namespace

Tensor::Tensor(Shape shape) : ConstTensor(allocate_zeros(shape.numel()), shape) {}

Tensor::Tensor(Shape shape, std::span<const float> values)
    : ConstTensor(allocate(shape.numel()), shape) {
  require(static_cast<std::int64_t>(values.size()) == numel(), "Tensor: {} needs {} values, got {}",
          shape, numel(), values.size());
  std::ranges::copy(values, pointer());
}

Tensor::Tensor(Shape shape, std::initializer_list<float> values)
    : Tensor(std::move(shape), std::span<const float>(values.begin(), values.size())) {}

Tensor Tensor::full(Shape shape, float value) {
  Tensor tensor(std::move(shape));
  if (std::bit_cast<std::uint32_t>(value) != 0) tensor.fill(value);
  return tensor;
}

std::size_t ConstTensor::offset(std::initializer_list<std::int64_t> indices) const {
  bool inside = defined() && static_cast<std::int64_t>(indices.size()) == rank();
  std::int64_t offset = 0, axis = 0;
  for (const std::int64_t index : indices) {
    if (!inside) break;
    inside = index >= 0 && index < shape_[axis];
    offset = offset * shape_[axis] + index;
    ++axis;
  }
  require(inside, "Tensor::at: indices ({}) are outside of {}", join(indices), shape_);
  return static_cast<std::size_t>(offset);
}

float ConstTensor::item() const {
  require(numel() == 1, "Tensor::item: needs exactly one element, the shape is {}", shape_);
  return *pointer();
}

Tensor ConstTensor::clone() const { return defined() ? Tensor(shape_, data()) : Tensor(); }

ConstTensor ConstTensor::reshape(Shape shape) const {
  require(shape.numel() == numel(), "Tensor::reshape: {} has {} elements, {} needs {}", shape_,
          numel(), shape, shape.numel());
  return {storage_, std::move(shape)};
}

ConstTensor ConstTensor::slice(std::int64_t begin, std::int64_t end) const {
  require(rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0],
          "Tensor::slice: rows [{}, {}) are outside of {}", begin, end, shape_);
  const std::int64_t row = shape_[0] == 0 ? 0 : numel() / shape_[0];
  return {std::shared_ptr<float>(storage_, pointer() + begin * row), shape_.with(0, end - begin)};
}

Tensor Tensor::reshape(Shape shape) const { return Tensor(ConstTensor::reshape(std::move(shape))); }

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  return Tensor(ConstTensor::slice(begin, end));
}

void Tensor::copy_from(const ConstTensor& other) {
  require(shape() == other.shape(), "Tensor::copy_from: {} cannot take values of {}", shape(),
          other.shape());
  if (pointer() != other.data().data()) std::ranges::copy(other.data(), pointer());
}

void Tensor::fill(float value) { std::ranges::fill(data(), value); }

}  // namespace rung
