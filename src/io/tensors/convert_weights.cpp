#include <set>
#include <string>
#include <utility>

#include "core/check.h"
#include "io/files/file_kind.h"
#include "io/files/names.h"
#include "io/tensors/weight_names.h"
#include "rung/io/pth.h"
#include "rung/io/safetensors.h"
#include "rung/io/weights.h"

namespace rung::io {
namespace {

bool is_float(Dtype dtype) {
  return dtype == Dtype::F64 || dtype == Dtype::F32 || dtype == Dtype::F16 || dtype == Dtype::BF16;
}

/// File is a SafetensorsFile or a PthFile.
template <typename File>
StateDict read_all(const File& file, const ConvertWeightsOptions& options) {
  const std::optional<Dtype>& float_dtype = options.float_dtype;
  StateDict tensors;
  for (const auto& info : file.tensors()) {
    const bool is_converted = float_dtype && is_float(info.dtype) && info.dtype != *float_dtype;
    if (is_converted)
      tensors.emplace_back(info.name, file.tensor(info.name, options.saturate));
    else
      tensors.emplace_back(
          info.name,
          RawTensor{.dtype = info.dtype, .shape = info.shape, .bytes = file.bytes(info.name)});
  }
  return tensors;
}

std::string common_first_part(const StateDict& tensors) {
  if (tensors.empty()) return {};
  const std::string& first = tensors[0].first;
  const std::string part = first.substr(0, first.find('.') + 1);  // nothing without a dot
  for (const auto& [name, value] : tensors)
    if (!name.starts_with(part)) return {};
  return part;
}

void write_safetensors(const std::filesystem::path& path, StateDict tensors,
                       std::map<std::string, std::string> metadata,
                       const ConvertWeightsOptions& options) {
  SafetensorsContent content{.metadata = std::move(metadata), .saturate = options.saturate};
  for (auto& [name, value] : tensors) {
    if (auto* raw = std::get_if<RawTensor>(&value)) {
      content.raw.emplace_back(name, std::move(*raw));
    } else {
      content.tensors.emplace_back(name, std::get<ConstTensor>(value));
      content.dtypes[name] = *options.float_dtype;
    }
  }
  save_safetensors(path, content);
}

}  // namespace

std::string ConvertWeightsReport::to_string() const {
  std::string text;
  if (!left_out.empty()) text = fmt::format("left out: {}", summary_of(left_out));
  if (prefix.empty()) return text;
  return fmt::format("{}{}all names begin with {}, which stays", text, text.empty() ? "" : "; ",
                     shown_name(prefix));
}

ConvertWeightsReport convert_weights(const std::filesystem::path& from,
                                     const std::filesystem::path& to,
                                     const ConvertWeightsOptions& options) {
  const bool pth = is_pth_name(to);
  require(!options.float_dtype || is_float(*options.float_dtype),
          "{}: weights can be F32, F64, F16 or BF16", to.string());
  StateDict tensors;
  std::map<std::string, std::string> metadata;
  ConvertWeightsReport report;
  if (holds_pth(from)) {
    const PthFile file(from);
    tensors = read_all(file, options);
    report.left_out = file.other_dicts();
  } else {
    const SafetensorsFile file(from);
    tensors = read_all(file, options);
    metadata = file.metadata();
  }
  report.prefix = common_first_part(tensors);
  for (const auto& [name, value] : tensors) {
    const auto* raw = std::get_if<RawTensor>(&value);
    ++report.tensors;
    report.numbers += raw != nullptr ? raw->shape.numel() : std::get<ConstTensor>(value).numel();
  }
  if (pth)
    save_pth(
        to, tensors,
        {.float_dtype = options.float_dtype.value_or(Dtype::F32), .saturate = options.saturate});
  else
    write_safetensors(to, std::move(tensors), std::move(metadata), options);
  return report;
}

}  // namespace rung::io
