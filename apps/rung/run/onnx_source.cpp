#include "run/onnx_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>

#include "rung/io/onnx_import.h"
#include "rung/quantsim/quantsim.h"

namespace rung::cli {
namespace {

constexpr std::int64_t kLargestExtent = 1 << 30;

/// Reads NAME=1,3,224,224; names may have a = of their own.
std::pair<std::string, Shape> shape_of(const std::string& text) {
  const auto refuse = [&] {
    throw UsageError(
        fmt::format("--input-shape {}: expected NAME=1,3,H,W, extents of at least 1", text));
  };
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) refuse();
  std::vector<std::int64_t> extents;
  for (std::string_view rest = std::string_view(text).substr(equals + 1);;) {
    const std::string_view number = rest.substr(0, rest.find(','));
    std::int64_t extent = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), extent);
    if (error != std::errc() || end != number.data() + number.size() || extent < 1 ||
        extent > kLargestExtent)
      refuse();
    extents.push_back(extent);
    if (number.size() == rest.size()) break;
    rest.remove_prefix(number.size() + 1);
  }
  return {text.substr(0, equals), Shape(std::move(extents))};
}

}  // namespace

void add_onnx_options(Command& command, OnnxSource& source) {
  command.option("--input-shape NAME=1,3,H,W", source.shapes,
                 "of an input of *.onnx whose extents the file leaves open; once per input");
}

io::ModelFile load_onnx(const std::string& path, const OnnxSource& source) {
  io::OnnxImportOptions options;
  for (const std::string& text : source.shapes) {
    auto [name, shape] = shape_of(text);
    if (!options.input_shapes.emplace(name, std::move(shape)).second)
      throw UsageError(fmt::format("--input-shape: {} is given twice", name));
  }
  io::ModelFile file;
  file.graph = io::load_onnx(path, options);
  const std::vector<QuantizerHandle> quantizers = find_quantizers(file.graph);
  if (quantizers.empty()) return file;
  const bool per_channel = std::ranges::any_of(
      quantizers, [](const QuantizerHandle& each) { return each.encoding().scale.size() > 1; });
  QuantizationSimModel sim = QuantizationSimModel::from_quantized(
      std::move(file.graph), {.config_file = per_channel ? "default" : "per_tensor"});
  file.sections[std::string(kQuantSimSection)] = sim.state();
  file.graph = sim.graph().clone();
  return file;
}

void check_no_onnx_options(const std::string& path, const OnnxSource& source) {
  if (!source.shapes.empty())
    throw UsageError(fmt::format("{}: --input-shape is for *.onnx", path));
}

}  // namespace rung::cli
