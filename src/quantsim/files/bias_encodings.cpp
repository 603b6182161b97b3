#include "quantsim/files/bias_encodings.h"

#include <cmath>
#include <map>

#include "core/check.h"
#include "graph/layer.h"
#include "ops/linear/bias_scales.h"
#include "quantsim/files/file_entries.h"

namespace rung::quantsim {

namespace {

constexpr int kBits = 32;
constexpr double kLargestCode = 2147483647.0;

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
    const std::vector<float> scales = bias_scales(*node);
    if (scales.empty()) continue;
    const Value& value = *bias_value(*node);
    const Parameter* bias = value.parameter();
    check_range(*node, *bias, scales);

    Encoding encoding;
    encoding.bitwidth = kBits;
    encoding.symmetry = Symmetry::symmetric;
    encoding.grid = make_grid(kBits, Symmetry::symmetric);
    if (scales.size() > 1) encoding.axis = 0;
    encoding.scale = scales;
    encoding.offset.assign(scales.size(), 0);
    io::TensorEncoding entry = file_entry(value, encoding);
    const auto [first, is_new] = known.try_emplace(bias, entries.size());
    require(is_new || entries[first->second] == entry,
            "[{} {}] the bias {} is read by another op with other scales: it has no int32 encoding",
            node->type(), node->name(), bias->name());
    if (is_new) entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace rung::quantsim
