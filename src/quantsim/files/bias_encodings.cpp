#include "quantsim/files/bias_encodings.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/format.h"
#include "quantsim/files/file_entries.h"
#include "quantsim/op_classes.h"

namespace rung::quantsim {

namespace {

constexpr std::array<std::string_view, 3> kTypes = {"Conv", "ConvTranspose", "Gemm"};
constexpr int kBits = 32;
constexpr double kLargestCode = 2147483647.0;

/// Returns the encoding that the numbers of a value have: that of the nearest enabled quantizer
/// before it, from which only ops lead here that keep the grid. None if there is no such quantizer.
std::optional<Encoding> encoding_of(const Value* value, Graph& graph) {
  while (value->producer() != nullptr) {
    Node* producer = value->producer();
    if (const auto* op = producer->as<QuantizeDequantize>()) {
      if (op->enabled() && !op->quantizer().pass_through())
        return QuantizerHandle(graph, *producer).encoding();
    } else if (!is_grid_preserving(producer->op())) {
      return std::nullopt;
    }
    value = producer->inputs()[0];
  }
  return std::nullopt;
}

/// Returns one scale per output channel, or one in all; of blocks the largest, of grouped blocks
/// the float scale that they share. Empty if the weight has its scales along another axis.
std::vector<float> weight_scales(const Encoding& weight, const Node& node, std::int64_t channels) {
  const Granularity cut = weight.granularity();
  if (!cut.axis) return weight.scale;
  const std::int64_t output_axis = node.type() == "ConvTranspose" ? 1 : 0;
  if (*cut.axis != output_axis || cut.channels != channels) return {};
  if (!cut.blocks) return weight.scale;
  if (weight.grouped &&
      weight.grouped->per_channel_scale.size() == static_cast<std::size_t>(channels))
    return weight.grouped->per_channel_scale;
  std::vector<float> largest(static_cast<std::size_t>(channels), 0.0f);
  const auto blocks = static_cast<std::size_t>(cut.blocks->count);
  for (std::size_t i = 0; i < weight.scale.size(); ++i) {
    float& scale =
        largest[*cut.axis < cut.blocks->axis ? i / blocks : i % static_cast<std::size_t>(channels)];
    scale = std::max(scale, weight.scale[i]);
  }
  return largest;
}

/// Returns scale_x * scale_w; empty if the op has no such scales.
std::vector<float> bias_scales(const Encoding& x, const Encoding& weight, const Node& node,
                               std::int64_t channels) {
  if (x.is_float() || weight.is_float() || x.channels() != 1) return {};
  std::vector<float> scales = weight_scales(weight, node, channels);
  for (float& scale : scales) scale *= x.scale[0];
  return scales;
}

/// Throws Error unless every bias has an int32 code at its scale.
void check_range(const Node& node, const Parameter& bias, const std::vector<float>& scales) {
  const auto values = bias.value().data();
  for (std::size_t c = 0; c < values.size(); ++c) {
    const double codes = std::abs(values[c]) / double{scales[scales.size() == 1 ? 0 : c]};
    require(codes <= kLargestCode,
            "[{} {}] {} at channel {} is {:.3g} steps of scale_x * scale_w = {:.3g}, which int32 "
            "cannot hold: widen the range of the weight's quantizer there, or export with "
            "export_int32_bias = false",
            node.type(), node.name(), bias.name(), c, codes, scales[scales.size() == 1 ? 0 : c]);
  }
}

}  // namespace

std::vector<io::TensorEncoding> bias_encodings(Graph& graph) {
  std::vector<io::TensorEncoding> entries;
  std::map<const Parameter*, std::size_t> known;
  for (const Node* node : graph.nodes()) {
    if (std::ranges::find(kTypes, node->type()) == kTypes.end() || node->inputs().size() < 3)
      continue;
    const Parameter* bias = node->inputs()[2]->parameter();  // none if it has a quantizer
    if (bias == nullptr) continue;
    const auto x = encoding_of(node->inputs()[0], graph);
    const auto weight = encoding_of(node->inputs()[1], graph);
    if (!x || !weight) continue;
    const std::vector<float> scales = bias_scales(*x, *weight, *node, bias->value().numel());
    if (scales.empty()) continue;
    check_range(*node, *bias, scales);

    Encoding encoding;
    encoding.bitwidth = kBits;
    encoding.symmetry = Symmetry::symmetric;
    encoding.grid = make_grid(kBits, Symmetry::symmetric);
    if (scales.size() > 1) encoding.axis = 0;
    encoding.scale = scales;
    encoding.offset.assign(scales.size(), 0);
    io::TensorEncoding entry = file_entry(*node->inputs()[2], encoding);
    const auto [first, is_new] = known.try_emplace(bias, entries.size());
    require(is_new || entries[first->second] == entry,
            "[{} {}] the bias {} is read by another op with other scales: it has no int32 encoding",
            node->type(), node->name(), bias->name());
    if (is_new) entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace rung::quantsim
