// Versions 2.0.0 and 2.1.0: the attributes of ONNX's QuantizeLinear, one entry per tensor. Lists
// are nested as the scales of the tensor are: a number per tensor, [C] per channel, [O][I / block]
// ... per block. They differ in low power block quantization (LPBQ), whose scales are
// products: 2.0.0 has the factors side by side, in 2.1.0 y_scale is itself quantized, an object
// {"x", "x_scale", "axis"}. Either is read in files of both.

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
            "encodings: {} is a float of {} bits without a type, which version 2 needs", name,
            bits);
    return encoding.float_type.empty() ? "float16" : encoding.float_type;
  }
  require(std::ranges::count(kIntegerBits, bits) == 1 && (bits < 32 || encoding.is_signed),
          "encodings: {} has {}{} bits, version 2 can only express 2, 4, 8, 16 and signed 32; "
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

/// Begins an LPBQ entry with the whole scales of its blocks.
void parse_block_scales(TensorEncoding& encoding, const JsonPlace& entry, const JsonPlace& place) {
  if (encoding.dtype != EncodingDtype::integer || encoding.bitwidth > 16 || !encoding.is_signed)
    entry["output_dtype"].refuse("must be int2, int4, int8 or int16 with LPBQ");
  // The file does not tell the decompressed bitwidth: AIMET takes twice the compressed one.
  encoding.compressed_bitwidth = encoding.bitwidth;
  encoding.bitwidth *= 2;
  encoding.is_symmetric = true;
  const std::int64_t largest = std::int64_t{1} << encoding.compressed_bitwidth;
  parse_axis(encoding, entry, walk(place, [&](const JsonPlace& each) {
               encoding.per_block_int_scale.push_back(each.integer(1, largest));
             }));
  encoding.type = EncodingType::lpbq;
  if (encoding.block_shape.empty()) entry.refuse("has scales of blocks, but no block_size");
}

/// Adds the float scales, whose offsets are all the same.
void parse_float_scales(TensorEncoding& encoding, const JsonPlace& scales) {
  walk(scales, [&](const JsonPlace& place) { encoding.scale.push_back(positive_at(place)); });
  if (encoding.per_block_int_scale.size() % encoding.scale.size() != 0)
    scales.refuse("does not fit the scales of blocks");
  encoding.offset.assign(encoding.scale.size(), -half(encoding.bitwidth));
}

void parse_lpbq_2_0_0(TensorEncoding& encoding, const JsonPlace& entry) {
  parse_block_scales(encoding, entry, entry["per_block_int_scale"]);
  parse_float_scales(encoding, entry["per_channel_float_scale"]);
}

/// Returns an axis of blocks counted from the front.
std::int64_t front_axis(const JsonPlace& place, std::size_t rank) {
  const auto axes = static_cast<std::int64_t>(rank);
  const std::int64_t axis = place.integer(-axes, axes - 1);
  return axis < 0 ? axis + axes : axis;
}

/// The general format may have y_scale quantized in any way; here it is once per channel.
void parse_lpbq_2_1_0(TensorEncoding& encoding, const JsonPlace& entry) {
  const JsonPlace y_scale = entry["y_scale"];
  for (const auto& [key, unused] : y_scale.json().items())
    if (key != "x" && key != "x_scale" && key != "axis")
      y_scale.refuse("has " + shown_name(key) + "; read are x, x_scale and axis");
  if (entry.has("y_zero_point")) entry.refuse("has LPBQ scales, which have no zero points");
  parse_block_scales(encoding, entry, y_scale["x"]);
  const JsonPlace scales = y_scale["x_scale"].array();
  const std::vector<std::int64_t>& blocks = encoding.block_shape;
  const auto channels = static_cast<std::size_t>(front_axis(y_scale["axis"], blocks.size()));
  const auto along = static_cast<std::size_t>(front_axis(entry["axis"], blocks.size()));
  if (channels == along) y_scale["axis"].refuse("is the axis of the blocks, not of the channels");
  if (static_cast<std::int64_t>(scales.size()) != blocks[channels])
    scales.refuse(fmt::format("has {} numbers for {} channels", scales.size(), blocks[channels]));
  if (count(blocks) != static_cast<std::size_t>(blocks[channels] * blocks[along]))
    y_scale["x"].refuse("has blocks along more axes than those of channels and blocks");
  parse_float_scales(encoding, scales);
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
          "encodings: {} has {} blocks; version 2 needs to know how they lie (block_shape)", name,
          blocks);
  return encoding.block_shape;
}

/// Returns the axis of the blocks counted from the front; `shape` is how they lie.
std::int64_t block_axis(const TensorEncoding& encoding, const std::vector<std::int64_t>& shape) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  std::int64_t axis = encoding.axis.value_or(-1);
  if (axis < 0) axis += rank;
  require(axis >= 0 && axis < rank, "encodings: {} has no axis of its blocks",
          shown_name(encoding.name));
  return axis;
}

void add_lpbq_2_0_0(Json& entry, const TensorEncoding& encoding, std::vector<std::int64_t> shape) {
  entry["per_block_int_scale"] = nested(encoding.per_block_int_scale, shape);
  // One float scale for all blocks of a channel, or one per group of them.
  std::int64_t& groups = shape[static_cast<std::size_t>(block_axis(encoding, shape))];
  groups = 1;
  const std::size_t channels = count(shape);
  require(encoding.scale.size() % channels == 0, "encodings: {} has {} float scales, {} channels",
          shown_name(encoding.name), encoding.scale.size(), channels);
  groups = static_cast<std::int64_t>(encoding.scale.size() / channels);
  entry["per_channel_float_scale"] = nested(encoding.scale, shape);
}

void add_lpbq_2_1_0(Json& entry, const TensorEncoding& encoding,
                    const std::vector<std::int64_t>& shape) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  const std::int64_t along = block_axis(encoding, shape);
  // Of one channel nobody can say where it lies: beside the blocks.
  std::int64_t channels = along > 0 ? along - 1 : std::min<std::int64_t>(1, rank - 1);
  for (std::int64_t axis = 0; axis < rank; ++axis)
    if (axis != along && shape[static_cast<std::size_t>(axis)] > 1) channels = axis;
  require(
      channels != along &&
          static_cast<std::int64_t>(encoding.scale.size()) ==
              shape[static_cast<std::size_t>(channels)] &&
          encoding.scale.size() *
                  static_cast<std::size_t>(shape[static_cast<std::size_t>(along)]) ==
              count(shape),
      "encodings: {} has {} float scales for its blocks; version 2.1.0 can only express one per "
      "channel: use 2.0.0",
      shown_name(encoding.name), encoding.scale.size());
  entry["y_scale"] = {{"x", nested(encoding.per_block_int_scale, shape)},
                      {"x_scale", encoding.scale},
                      {"axis", channels - rank}};
}

void add_lpbq(Json& entry, const TensorEncoding& encoding, EncodingsVersion version,
              const std::vector<std::int64_t>& shape) {
  require(encoding.bitwidth == 2 * encoding.compressed_bitwidth,
          "encodings: {} decompresses {} bits to {}; version {} can only express twice as many",
          shown_name(encoding.name), encoding.compressed_bitwidth, encoding.bitwidth,
          to_string(version));
  if (version == EncodingsVersion::v2_0_0)
    add_lpbq_2_0_0(entry, encoding, shape);
  else
    add_lpbq_2_1_0(entry, encoding, shape);
}

}  // namespace

TensorEncoding parse_entry_2(const JsonPlace& entry) {
  TensorEncoding encoding;
  encoding.name = entry["name"].string();
  parse_dtype(encoding, entry["output_dtype"]);
  if (entry.has("per_block_int_scale")) {
    parse_lpbq_2_0_0(encoding, entry);
    return encoding;
  }
  if (!entry.has("y_scale")) return encoding;
  if (entry["y_scale"].json().is_object()) {
    parse_lpbq_2_1_0(encoding, entry);
    return encoding;
  }
  const std::vector<std::int64_t> shape = walk(entry["y_scale"], [&](const JsonPlace& place) {
    encoding.scale.push_back(positive_at(place));
  });
  parse_axis(encoding, entry, shape);
  if (encoding.dtype == EncodingDtype::floating) {
    encoding.offset.assign(encoding.scale.size(), 0);
    return encoding;
  }
  parse_zero_points(encoding, entry, shape);
  fill_ranges(encoding, entry);
  return encoding;
}

Json entry_2(const TensorEncoding& encoding, EncodingsVersion version) {
  check_consistent(encoding);
  const bool is_lpbq = encoding.type == EncodingType::lpbq;
  const std::int64_t bits = is_lpbq ? encoding.compressed_bitwidth : encoding.bitwidth;
  Json entry = {{"name", encoding.name}, {"output_dtype", dtype_name(encoding, bits)}};
  if (encoding.scale.empty()) {
    require(encoding.min.empty(), "encodings: {} has a range, but no scale, which version 2 needs",
            shown_name(encoding.name));
    return entry;
  }
  // One channel alone is written as a tensor: nobody can say on which axis it lies.
  const std::vector<std::int64_t> shape =
      encoding.type == EncodingType::per_channel && encoding.scale.size() == 1
          ? std::vector<std::int64_t>{}
          : scale_shape(encoding);
  if (!shape.empty()) {
    require(encoding.axis.has_value(), "encodings: {} has no axis, which version 2 needs",
            shown_name(encoding.name));
    entry["axis"] = *encoding.axis;
  }
  if (!encoding.block_shape.empty()) entry["block_size"] = encoding.block_size;
  if (is_lpbq) {
    add_lpbq(entry, encoding, version, shape);
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
