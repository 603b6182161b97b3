#include "io/onnx/constants/constant.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>

#include "core/check.h"
#include "core/join.h"
#include "io/tensors/dtype.h"

namespace rung::io::onnx_import {
namespace {

using Proto = ::onnx::TensorProto;

/// Returns the dtype with the same bytes; none for 4-bit types and those that are not read.
std::optional<Dtype> dtype_of(std::int32_t type) {
  switch (type) {
    case Proto::FLOAT:
      return Dtype::F32;
    case Proto::DOUBLE:
      return Dtype::F64;
    case Proto::FLOAT16:
      return Dtype::F16;
    case Proto::BFLOAT16:
      return Dtype::BF16;
    case Proto::INT8:
      return Dtype::I8;
    case Proto::UINT8:
      return Dtype::U8;
    case Proto::INT16:
      return Dtype::I16;
    case Proto::UINT16:
      return Dtype::U16;
    case Proto::INT32:
      return Dtype::I32;
    case Proto::UINT32:
      return Dtype::U32;
    case Proto::INT64:
      return Dtype::I64;
    case Proto::UINT64:
      return Dtype::U64;
    case Proto::BOOL:
      return Dtype::BOOL;
    default:
      return std::nullopt;
  }
}

std::size_t element_size(Dtype dtype) { return static_cast<std::size_t>(bit_size(dtype)) / 8; }

bool is_4_bit(std::int32_t type) { return type == kUint4 || type == kInt4; }

/// Two elements in a byte, the first one in the lower half.
std::int64_t nibble(std::uint8_t byte, std::size_t index, std::int32_t type) {
  const int code = index % 2 == 0 ? byte & 15 : byte >> 4;
  return type == kInt4 && code >= 8 ? code - 16 : code;
}

void check_count(std::size_t got, std::size_t wanted) {
  require(got == wanted, "has {} elements, its shape needs {}", got, wanted);
}

void decode_raw(const Proto& proto, Constant& constant) {
  const std::string& raw = proto.raw_data();
  const auto count = static_cast<std::size_t>(constant.shape.numel());
  if (is_4_bit(constant.type)) {
    require(raw.size() == (count + 1) / 2, "has {} bytes of data, its shape needs {}", raw.size(),
            (count + 1) / 2);
    for (std::size_t i = 0; i < count; ++i)
      constant.integers.push_back(nibble(static_cast<std::uint8_t>(raw[i / 2]), i, constant.type));
    return;
  }
  const Dtype dtype = *dtype_of(constant.type);
  require(raw.size() == count * element_size(dtype), "has {} bytes of data, its shape needs {}",
          raw.size(), count * element_size(dtype));
  const auto bytes = std::as_bytes(std::span(raw));
  if (is_float(constant.type)) {
    constant.floats.resize(count);
    to_floats(dtype, bytes, constant.floats);
  } else if (dtype == Dtype::BOOL) {
    for (const char each : raw) constant.integers.push_back(each != 0);
  } else {
    constant.integers.resize(count);
    require(to_integers(dtype, bytes, constant.integers), "has integers beyond int64");
  }
}

void decode_int32(const Proto& proto, Constant& constant) {
  const auto count = static_cast<std::size_t>(constant.shape.numel());
  const auto& data = proto.int32_data();
  if (is_4_bit(constant.type)) {
    check_count(static_cast<std::size_t>(data.size()), (count + 1) / 2);
    for (std::size_t i = 0; i < count; ++i)
      constant.integers.push_back(
          nibble(static_cast<std::uint8_t>(data[static_cast<int>(i / 2)]), i, constant.type));
    return;
  }
  check_count(static_cast<std::size_t>(data.size()), count);
  if (!is_float(constant.type)) {
    constant.integers.assign(data.begin(), data.end());
    return;
  }
  std::vector<std::uint16_t> bits;  // of half precision
  for (const std::int32_t each : data) bits.push_back(static_cast<std::uint16_t>(each));
  constant.floats.resize(count);
  to_floats(*dtype_of(constant.type), std::as_bytes(std::span(bits)), constant.floats);
}

void decode_fields(const Proto& proto, Constant& constant) {
  const auto count = static_cast<std::size_t>(constant.shape.numel());
  switch (constant.type) {
    case Proto::FLOAT:
      check_count(static_cast<std::size_t>(proto.float_data_size()), count);
      constant.floats.assign(proto.float_data().begin(), proto.float_data().end());
      return;
    case Proto::DOUBLE:
      check_count(static_cast<std::size_t>(proto.double_data_size()), count);
      constant.floats.assign(proto.double_data().begin(), proto.double_data().end());
      return;
    case Proto::INT64:
      check_count(static_cast<std::size_t>(proto.int64_data_size()), count);
      constant.integers.assign(proto.int64_data().begin(), proto.int64_data().end());
      return;
    case Proto::UINT32:
    case Proto::UINT64:
      check_count(static_cast<std::size_t>(proto.uint64_data_size()), count);
      for (const std::uint64_t each : proto.uint64_data()) {
        require(each <= INT64_MAX, "has integers beyond int64");
        constant.integers.push_back(static_cast<std::int64_t>(each));
      }
      return;
    default:
      decode_int32(proto, constant);
  }
}

void check_type(const Proto& proto) {
  require(is_float(proto.data_type()) || is_integer(proto.data_type()),
          "has elements of {}, which are not read", type_name(proto.data_type()));
}

}  // namespace

bool is_float(std::int32_t type) {
  return type == Proto::FLOAT || type == Proto::DOUBLE || type == Proto::FLOAT16 ||
         type == Proto::BFLOAT16;
}

bool is_integer(std::int32_t type) {
  return is_4_bit(type) || (dtype_of(type).has_value() && !is_float(type));
}

std::string type_name(std::int32_t type) {
  if (type == kUint4) return "uint4";
  if (type == kInt4) return "int4";
  if (!Proto::DataType_IsValid(type)) return fmt::format("type {}", type);
  std::string name = Proto::DataType_Name(static_cast<Proto::DataType>(type));
  std::ranges::transform(name, name.begin(), [](char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  return name;
}

Tensor Constant::tensor() const {
  require(per_batch.empty(), "depends on the batch size");
  if (!is_integer()) return Tensor(shape, floats);
  return Tensor(shape, std::vector<float>(integers.begin(), integers.end()));
}

const std::vector<std::int64_t>& Constant::whole_numbers() const {
  require(is_integer(), "must be integers, got {}", type_name(type));
  require(per_batch.empty(), "depends on the batch size");
  return integers;
}

double Constant::scalar() const {
  require(shape.numel() == 1 && per_batch.empty(), "must be one number, got {}", shape);
  return is_integer() ? static_cast<double>(integers[0]) : floats[0];
}

Constant Constant::of_integers(std::vector<std::int64_t> values) {
  Constant made;
  made.type = Proto::INT64;
  made.shape = Shape{static_cast<std::int64_t>(values.size())};
  made.integers = std::move(values);
  return made;
}

Shape checked_shape(const std::vector<std::int64_t>& dims) {
  require(dims.size() <= kMaxRank, "has {} dimensions, more than {}", dims.size(), kMaxRank);
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) {
    require(dim >= 0 && dim <= kMaxExtent, "has an extent of {}", dim);
    require(dim == 0 || count <= kMaxExtent / std::max<std::int64_t>(dim, 1),
            "has the shape [{}], which is too large", join(dims));
    count *= std::max<std::int64_t>(dim, 1);
  }
  return Shape(dims);
}

std::int64_t element_count(const ::onnx::TensorProto& proto) {
  return std::max<std::int64_t>({static_cast<std::int64_t>(proto.raw_data().size()),
                                 proto.float_data_size(), proto.int32_data_size(),
                                 proto.int64_data_size(), proto.double_data_size(),
                                 proto.uint64_data_size()});
}

std::uint64_t stored_bytes(const ::onnx::TensorProto& proto) {
  check_type(proto);
  const auto count =
      static_cast<std::size_t>(checked_shape({proto.dims().begin(), proto.dims().end()}).numel());
  return is_4_bit(proto.data_type()) ? (count + 1) / 2
                                     : count * element_size(*dtype_of(proto.data_type()));
}

Constant decode(const ::onnx::TensorProto& proto) {
  require(proto.data_location() != Proto::EXTERNAL && proto.external_data_size() == 0,
          "lies in another file (external data)");
  require(!proto.has_segment(), "is cut into segments, which are not read");
  check_type(proto);
  Constant constant;
  constant.type = proto.data_type();
  constant.shape = checked_shape({proto.dims().begin(), proto.dims().end()});
  if (proto.has_raw_data())
    decode_raw(proto, constant);
  else
    decode_fields(proto, constant);
  return constant;
}

Constant take(const Constant& source, Shape shape, const std::vector<std::int64_t>& positions) {
  Constant result;
  result.type = source.type;
  result.limits = source.limits;
  result.shape = std::move(shape);
  for (const std::int64_t position : positions) {
    const auto at = static_cast<std::size_t>(position);
    if (source.is_integer())
      result.integers.push_back(source.integers.at(at));
    else
      result.floats.push_back(source.floats.at(at));
    if (!source.per_batch.empty()) result.per_batch.push_back(source.per_batch.at(at));
  }
  return result;
}

}  // namespace rung::io::onnx_import
