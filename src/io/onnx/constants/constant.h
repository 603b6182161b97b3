#pragma once

#include <onnx/onnx_pb.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/files/limits.h"
#include "rung/core/tensor.h"

namespace rung::io::onnx_import {

// Newer than the library's list of types.
constexpr std::int32_t kUint4 = 21, kInt4 = 22;

/// True for the types that are read as floats.
bool is_float(std::int32_t type);
/// True for integers and truth values.
bool is_integer(std::int32_t type);
/// Returns ONNX's name of an element type, for messages.
std::string type_name(std::int32_t type);

/// A tensor whose elements are known while importing. Integers may count batches: element i is
/// integers[i] + per_batch[i] * N, where N is the batch size.
struct Constant {
  std::int32_t type = ::onnx::TensorProto::FLOAT;
  Shape shape;
  std::vector<float> floats;            ///< of float types
  std::vector<std::int64_t> integers;   ///< of all others
  std::vector<std::int64_t> per_batch;  ///< empty if no element depends on the batch size
  /// The lowest and the highest code that a Clip has left; none without.
  std::optional<std::array<std::int64_t, 2>> limits = {};

  bool is_integer() const { return onnx_import::is_integer(type); }
  /// Returns the elements as a tensor; throws Error if they depend on the batch size.
  Tensor tensor() const;
  /// Returns the integers; throws Error if they are floats or depend on the batch size.
  const std::vector<std::int64_t>& whole_numbers() const;
  /// Returns the only element, whatever its type; throws Error if there is not exactly one.
  double scalar() const;

  static Constant of_integers(std::vector<std::int64_t> values);  ///< int64 [n]
};

/// Returns how many bytes the elements of a tensor of this type and shape take in a file; throws
/// Error if either is not read.
std::uint64_t stored_bytes(const ::onnx::TensorProto& proto);
/// Decodes a tensor; throws Error if its type is not read, it lies in another file, or its data are
/// not as many as its shape says.
Constant decode(const ::onnx::TensorProto& proto);
/// Returns how many elements decode() would make, without trusting the shape for the data.
std::int64_t element_count(const ::onnx::TensorProto& proto);
/// Returns a checked shape; throws Error if an extent is negative or the whole is too large.
Shape checked_shape(const std::vector<std::int64_t>& dims);

/// Returns the elements at these positions of `source`, in a new shape.
Constant take(const Constant& source, Shape shape, const std::vector<std::int64_t>& positions);

}  // namespace rung::io::onnx_import
