// Version 2.0.0: the attributes of ONNX's QuantizeLinear, one entry per tensor. Lists are nested as
// the scales of the tensor are: a number per tensor, [C] per channel, [O][I / block] ... per block.

#include <algorithm>
#include <array>
#include <charconv>

#include "core/check.h"
#include "io/encodings/entry.h"
#include "io/files/names.h"

namespace rung::io {
namespace {

constexpr std::size_t kMaxRank = 8;
constexpr std::array<std::int64_t, 5> kIntegerBits = {2, 4, 8, 16, 32};

std::int64_t half(std::int64_t bitwidth) { return std::int64_t{1} << (bitwidth - 1); }

// ---- nested lists

/// Calls visit(place) for each number of a nested list, row-major, and returns its shape: [] for a
/// bare number. Refuses lists that are ragged, empty or too deep.
template <typename Visit>
std::vector<std::int64_t> walk(const JsonPlace& place, const Visit& visit, std::size_t depth = 0) {
  if (!place.json().is_array()) {
    visit(place);
    return {};
  }
  if (depth == kMaxRank) place.refuse(fmt::format("is nested deeper than {} levels", kMaxRank));
  if (place.size() == 0) place.refuse("is empty");
  std::vector<std::int64_t> inner;
  for (std::size_t i = 0; i < place.size(); ++i) {
    std::vector<std::int64_t> shape = walk(place[i], visit, depth + 1);
    if (i > 0 && shape != inner) place[i].refuse("is not nested as element 0 is");
    inner = std::move(shape);
  }
  inner.insert(inner.begin(), static_cast<std::int64_t>(place.size()));
  return inner;
}

template <typename T>
Json nest(const std::vector<T>& numbers, std::span<const std::int64_t> shape, std::size_t& next) {
  if (shape.empty()) return numbers[next++];
  Json list = Json::array();
  for (std::int64_t i = 0; i < shape[0]; ++i) list.push_back(nest(numbers, shape.subspan(1), next));
  return list;
}

template <typename T>
Json nested(const std::vector<T>& numbers, const std::vector<std::int64_t>& shape) {
  std::size_t next = 0;
  return nest(numbers, shape, next);
}

std::size_t count(const std::vector<std::int64_t>& shape) {
  std::size_t product = 1;
  for (const std::int64_t extent : shape) product *= static_cast<std::size_t>(extent);
  return product;
}

// ---- output_dtype

/// Returns the digits behind `prefix` as a number, 0 if there are none.
std::int64_t bits_behind(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return 0;
  std::int64_t bits = 0;
  std::from_chars(text.data() + prefix.size(), text.data() + text.size(), bits);
  return bits;
}

void parse_dtype(TensorEncoding& encoding, const JsonPlace& place) {
  const std::string& text = place.string();
  for (const std::int64_t bits : kIntegerBits) {
    const bool is_signed = text == fmt::format("int{}", bits);
    if (!is_signed && (bits == 32 || text != fmt::format("uint{}", bits))) continue;
    encoding.bitwidth = bits;
    encoding.is_signed = is_signed;
    return;
  }
  const std::int64_t bits = std::max(bits_behind(text, "float"), bits_behind(text, "bfloat"));
  if (bits != 4 && bits != 8 && bits != 16)
    place.refuse("must be int2, int4, int8, int16, int32, uint2 .. uint16 or a float type, got " +
                 shown_name(text));
  encoding.dtype = EncodingDtype::floating;
  encoding.bitwidth = bits;
  encoding.float_type = text;
}

std::string dtype_name(const TensorEncoding& encoding, std::int64_t bits) {
  const std::string name = shown_name(encoding.name);
  if (encoding.dtype == EncodingDtype::floating) {
    require(!encoding.float_type.empty() || bits == 16,
            "encodings: {} is a float of {} bits without a type, which version 2.0.0 needs", name,
            bits);
    return encoding.float_type.empty() ? "float16" : encoding.float_type;
  }
  require(std::ranges::count(kIntegerBits, bits) == 1 && (bits < 32 || encoding.is_signed),
          "encodings: {} has {}{} bits, version 2.0.0 can only express 2, 4, 8, 16 and signed 32; "
          "use 1.0.0",
          name, encoding.is_signed ? "" : "unsigned ", bits);
  return fmt::format("{}int{}", encoding.is_signed ? "" : "u", bits);
}

// ---- zero points: codes from 0 have -offset, codes from -2^(bw-1) as much less

std::int64_t zero_point(const TensorEncoding& encoding, std::int64_t offset) {
  // A strict grid lacks the lowest code, and its offset is one less; its zero point is not.
  const std::int64_t middle = half(encoding.bitwidth);
  if (encoding.is_symmetric && offset == 1 - middle) offset = -middle;
  return encoding.is_signed ? -offset - middle : -offset;
}

void parse_zero_points(TensorEncoding& encoding, const JsonPlace& entry,
                       const std::vector<std::int64_t>& shape) {
  const std::int64_t middle = half(encoding.bitwidth);
  const std::int64_t lowest = encoding.is_signed ? -middle : 0;
  encoding.offset.assign(encoding.scale.size(), lowest);
  if (entry.has("y_zero_point")) {
    encoding.offset.clear();
    const JsonPlace points = entry["y_zero_point"];
    const auto add = [&](const JsonPlace& place) {
      const std::int64_t point = place.integer(lowest, lowest + 2 * middle - 1);
      encoding.offset.push_back(lowest - point);
    };
    if (walk(points, add) != shape) points.refuse("is not nested as y_scale is");
  }
  encoding.is_symmetric =
      std::ranges::all_of(encoding.offset, [&](std::int64_t o) { return o == -middle; });
}

// ---- granularity

/// Reads where scales stand; `shape` is how y_scale or per_block_int_scale is nested.
void parse_axis(TensorEncoding& encoding, const JsonPlace& entry, std::vector<std::int64_t> shape) {
  if (shape.empty()) return;
  encoding.axis = entry["axis"].integer(-std::int64_t{kMaxRank}, kMaxRank - 1);
  if (entry.has("block_size")) {
    encoding.type = EncodingType::per_block;
    encoding.block_size = entry["block_size"].integer(1);
    encoding.block_shape = std::move(shape);
  } else if (shape.size() == 1) {
    encoding.type = EncodingType::per_channel;
  } else {
    entry.refuse("has nested scales, but no block_size");
  }
}

void parse_lpbq(TensorEncoding& encoding, const JsonPlace& entry) {
  if (encoding.dtype != EncodingDtype::integer || encoding.bitwidth > 16 || !encoding.is_signed)
    entry["output_dtype"].refuse("must be int2, int4, int8 or int16 with per_block_int_scale");
  // The file does not tell the decompressed bitwidth: AIMET takes twice the compressed one.
  encoding.compressed_bitwidth = encoding.bitwidth;
  encoding.bitwidth *= 2;
  const std::int64_t largest = std::int64_t{1} << encoding.compressed_bitwidth;
  parse_axis(encoding, entry, walk(entry["per_block_int_scale"], [&](const JsonPlace& place) {
               encoding.per_block_int_scale.push_back(place.integer(1, largest));
             }));
  encoding.type = EncodingType::lpbq;
  if (encoding.block_shape.empty()) entry.refuse("has per_block_int_scale, but no block_size");
  const JsonPlace scales = entry["per_channel_float_scale"];
  walk(scales, [&](const JsonPlace& place) { encoding.scale.push_back(positive_at(place)); });
  if (encoding.per_block_int_scale.size() % encoding.scale.size() != 0)
    scales.refuse("does not fit per_block_int_scale");
  encoding.offset.assign(encoding.scale.size(), -half(encoding.bitwidth));
  encoding.is_symmetric = true;
}

/// Returns how the scales are nested when they are written.
std::vector<std::int64_t> scale_shape(const TensorEncoding& encoding) {
  if (encoding.type == EncodingType::per_tensor) return {};
  if (encoding.type == EncodingType::per_channel)
    return {static_cast<std::int64_t>(encoding.scale.size())};
  const std::string name = shown_name(encoding.name);
  const bool is_lpbq = encoding.type == EncodingType::lpbq;
  const std::size_t blocks = is_lpbq ? encoding.per_block_int_scale.size() : encoding.scale.size();
  require(!encoding.block_shape.empty() && count(encoding.block_shape) == blocks,
          "encodings: {} has {} blocks; version 2.0.0 needs to know how they lie (block_shape)",
          name, blocks);
  return encoding.block_shape;
}

void add_lpbq(Json& entry, const TensorEncoding& encoding, std::vector<std::int64_t> shape) {
  require(encoding.bitwidth == 2 * encoding.compressed_bitwidth,
          "encodings: {} decompresses {} bits to {}; version 2.0.0 can only express twice as many",
          shown_name(encoding.name), encoding.compressed_bitwidth, encoding.bitwidth);
  entry["per_block_int_scale"] = nested(encoding.per_block_int_scale, shape);
  const auto rank = static_cast<std::int64_t>(shape.size());
  std::int64_t axis = encoding.axis.value_or(-1);
  if (axis < 0) axis += rank;
  require(axis >= 0 && axis < rank, "encodings: {} has no axis of its blocks",
          shown_name(encoding.name));
  // One float scale for all blocks of a channel, or one per group of them.
  std::int64_t& groups = shape[static_cast<std::size_t>(axis)];
  groups = 1;
  const std::size_t channels = count(shape);
  require(encoding.scale.size() % channels == 0, "encodings: {} has {} float scales, {} channels",
          shown_name(encoding.name), encoding.scale.size(), channels);
  groups = static_cast<std::int64_t>(encoding.scale.size() / channels);
  entry["per_channel_float_scale"] = nested(encoding.scale, shape);
}

}  // namespace

TensorEncoding parse_entry_2_0_0(const JsonPlace& entry) {
  TensorEncoding encoding;
  encoding.name = entry["name"].string();
  parse_dtype(encoding, entry["output_dtype"]);
  if (entry.has("per_block_int_scale")) {
    parse_lpbq(encoding, entry);
    return encoding;
  }
  if (!entry.has("y_scale")) return encoding;
  const std::vector<std::int64_t> shape = walk(entry["y_scale"], [&](const JsonPlace& place) {
    encoding.scale.push_back(positive_at(place));
  });
  parse_axis(encoding, entry, shape);
  if (encoding.dtype == EncodingDtype::floating) {
    encoding.offset.assign(encoding.scale.size(), 0);
    return encoding;
  }
  parse_zero_points(encoding, entry, shape);
  fill_ranges(encoding);
  return encoding;
}

Json entry_2_0_0(const TensorEncoding& encoding) {
  check_consistent(encoding);
  const bool is_lpbq = encoding.type == EncodingType::lpbq;
  const std::int64_t bits = is_lpbq ? encoding.compressed_bitwidth : encoding.bitwidth;
  Json entry = {{"name", encoding.name}, {"output_dtype", dtype_name(encoding, bits)}};
  if (encoding.scale.empty()) {
    require(encoding.min.empty(),
            "encodings: {} has a range, but no scale, which version 2.0.0 needs",
            shown_name(encoding.name));
    return entry;
  }
  // One channel alone is written as a tensor: nobody can say on which axis it lies.
  const std::vector<std::int64_t> shape =
      encoding.type == EncodingType::per_channel && encoding.scale.size() == 1
          ? std::vector<std::int64_t>{}
          : scale_shape(encoding);
  if (!shape.empty()) {
    require(encoding.axis.has_value(), "encodings: {} has no axis, which version 2.0.0 needs",
            shown_name(encoding.name));
    entry["axis"] = *encoding.axis;
  }
  if (!encoding.block_shape.empty()) entry["block_size"] = encoding.block_size;
  if (is_lpbq) {
    add_lpbq(entry, encoding, shape);
    return entry;
  }
  entry["y_scale"] = nested(encoding.scale, shape);
  if (encoding.dtype == EncodingDtype::floating) return entry;
  std::vector<std::int64_t> points;
  for (const std::int64_t offset : encoding.offset) points.push_back(zero_point(encoding, offset));
  if (std::ranges::any_of(points, [](std::int64_t point) { return point != 0; }))
    entry["y_zero_point"] = nested(points, shape);
  return entry;
}

}  // namespace rung::io
