#include "analysis/dump_index.h"

#include <algorithm>
#include <cmath>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "io/files/json.h"
#include "io/files/limits.h"
#include "io/tensors/dtype.h"
#include "rung/io/text_file.h"

namespace rung::analysis {
namespace {

namespace fs = std::filesystem;
using io::Json;
using io::JsonPlace;

constexpr const char* kMark = "rung_dump";
constexpr std::int64_t kIndexVersion = 1;
constexpr std::int64_t kLargestCode = std::int64_t{1} << 33;

Json to_json(const Encoding& encoding) {
  Json json = {{"bitwidth", encoding.bitwidth},
               {"qmin", encoding.grid.qmin},
               {"qmax", encoding.grid.qmax},
               {"scale", encoding.scale},
               {"offset", encoding.offset},
               {"axis", nullptr},
               {"blocks", nullptr}};
  if (encoding.axis) json["axis"] = *encoding.axis;
  if (encoding.blocks)
    json["blocks"] = {{"axis", encoding.blocks->axis}, {"size", encoding.blocks->size}};
  return json;
}

Encoding encoding_of(const JsonPlace& place, const Shape& shape, bool fixed) {
  Encoding encoding;
  encoding.bitwidth = static_cast<int>(place["bitwidth"].integer(2, kPassThroughBitwidth));
  encoding.grid.qmin = place["qmin"].integer(-kLargestCode, kLargestCode);
  encoding.grid.qmax = place["qmax"].integer(encoding.grid.qmin + 1, kLargestCode);
  const JsonPlace scale = place["scale"].array(), offset = place["offset"].array();
  for (std::size_t i = 0; i < scale.size(); ++i) {
    encoding.scale.push_back(static_cast<float>(scale[i].number()));
    if (!(encoding.scale.back() > 0) || !std::isfinite(encoding.scale.back()))
      scale[i].refuse("must be positive");
  }
  for (std::size_t i = 0; i < offset.size(); ++i)
    encoding.offset.push_back(offset[i].integer(-kLargestCode, kLargestCode));
  if (!place["axis"].json().is_null()) encoding.axis = place["axis"].integer(0, shape.rank() - 1);
  if (!place["blocks"].json().is_null()) {
    if (!encoding.axis) place["blocks"].refuse("need an axis of the channels");
    const JsonPlace blocks = place["blocks"].object();
    encoding.blocks = Blocks{.axis = blocks["axis"].integer(0, shape.rank() - 1),
                             .size = blocks["size"].integer(1, io::kMaxExtent)};
    encoding.blocks->count = shape[encoding.blocks->axis] / encoding.blocks->size;
  }
  std::int64_t count = encoding.axis ? shape[*encoding.axis] : 1;
  if (encoding.blocks) count *= encoding.blocks->count;
  if (encoding.channels() != count || std::ssize(encoding.offset) != count ||
      (encoding.axis == 0 && !fixed))
    place.refuse(fmt::format("must have {} scales and offsets for {}", count, shape));
  return encoding;
}

Json to_json(const DumpedTensor& tensor) {
  Json json = {{"name", tensor.name},          {"type", tensor.type},
               {"file", tensor.file},          {"dtype", io::to_string(tensor.dtype)},
               {"shape", tensor.shape.dims()}, {"fixed", tensor.fixed},
               {"codes", tensor.codes},        {"encoding", nullptr}};
  if (tensor.encoding) json["encoding"] = to_json(*tensor.encoding);
  return json;
}

DumpedTensor tensor_of(const JsonPlace& place) {
  DumpedTensor tensor{.name = place["name"].string(io::kMaxName),
                      .type = place["type"].string(io::kMaxName),
                      .file = place["file"].string(io::kMaxName)};
  if (tensor.file.empty() || tensor.file.find('/') != std::string::npos || tensor.file == ".." ||
      tensor.file == ".")
    place["file"].refuse("must be the name of a file in the folder");
  const auto dtype = io::dtype_from_string(place["dtype"].string());
  if (!dtype || !io::converts_to_float(*dtype)) place["dtype"].refuse("is no type of numbers");
  tensor.dtype = *dtype;
  std::vector<std::int64_t> dims;
  const JsonPlace shape = place["shape"].array(io::kMaxRank + 1);
  for (std::size_t i = 0; i < shape.size(); ++i)
    dims.push_back(shape[i].integer(0, io::kMaxExtent));
  tensor.shape = Shape(std::move(dims));
  tensor.fixed = place["fixed"].boolean();
  tensor.codes = place["codes"].boolean();
  if (!place["encoding"].json().is_null())
    tensor.encoding = encoding_of(place["encoding"].object(), tensor.shape, tensor.fixed);
  if (tensor.codes && (!tensor.encoding || !io::converts_to_integer(tensor.dtype)))
    place["codes"].refuse("need an encoding and whole numbers");
  return tensor;
}

}  // namespace

std::string to_json(const DumpIndex& index) {
  Json tensors = Json::array();
  for (const DumpedTensor& each : index.tensors) tensors.push_back(to_json(each));
  const Json json = {
      {kMark, kIndexVersion}, {"images", index.images}, {"tensors", std::move(tensors)}};
  return io::dump_json(json, kDumpIndex, 1) + "\n";
}

std::optional<DumpIndex> read_dump_index(const fs::path& folder) {
  const fs::path path = folder / kDumpIndex;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  const Json json = io::parse_json(io::read_text_file(path), path.string());
  if (!json.is_object() || !json.contains(kMark)) return std::nullopt;
  const JsonPlace root(json, path.string());
  (void)root[kMark].integer(kIndexVersion, kIndexVersion);
  DumpIndex index{.images = root["images"].integer(0, io::kMaxExtent), .tensors = {}};
  const JsonPlace tensors = root["tensors"].array();
  for (std::size_t i = 0; i < tensors.size(); ++i)
    index.tensors.push_back(tensor_of(tensors[i].object()));
  return index;
}

std::string safe_file_name(const std::string& tensor) {
  constexpr std::size_t kMost = 100;
  std::string name = tensor.substr(0, kMost);
  for (char& c : name) {
    const bool is_safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!is_safe) c = '_';
  }
  return name.empty() || name[0] == '.' ? "_" + name : name;
}

}  // namespace rung::analysis
