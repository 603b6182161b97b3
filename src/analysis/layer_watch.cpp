#include "analysis/layer_watch.h"

#include <algorithm>
#include <string_view>

#include "core/check.h"
#include "graph/layer.h"
#include "quantsim/quantizer_nodes.h"
#include "rung/quantsim/quantsim.h"

namespace rung::analysis {
namespace {

/// Returns the axis of the channels: of a weight that of its op's outputs, of activations the
/// second one.
std::int64_t channel_axis(const QuantizerHandle& quantizer) {
  if (quantizer.place() != QuantizerPlace::parameter) return 1;
  const auto weighted = quantsim::reader_of(quantizer.node()).op().traits().weighted;
  const std::int64_t axis = weighted ? weighted->output_axis : 0;
  return axis >= 0 ? axis : quantizer.source().shape().rank() - 1;
}

}  // namespace

WatchedQuantizer::WatchedQuantizer(const QuantizerHandle& quantizer)
    : handle(quantizer),
      layer(layer_of(quantizer)),
      codes(quantizer),
      statistics(channel_axis(quantizer)) {}

void WatchedQuantizer::add(const ConstTensor& x) {
  try {
    statistics.add(x);
    codes.add(x);
  } catch (const rung::Error& error) {
    fail("analysis: {} in the float network: {}", handle.source().name(), error.what());
  }
}

Quantizer WatchedQuantizer::result() const {
  const Encoding encoding = handle.encoding();
  Quantizer result{.name = handle.name(),
                   .aimet_name = aimet_name(handle),
                   .layer = layer,
                   .place = std::string(to_string(handle.place())),
                   .kind = std::string(handle.op().quantizer().kind()),
                   .bitwidth = handle.bitwidth(),
                   .symmetry = std::string(to_string(handle.symmetry())),
                   .per_channel = encoding.per_channel(),
                   .error = codes.error(),
                   .codes = codes.codes(),
                   .statistics = statistics.result()};
  if (!encoding.is_float() && !encoding.pass_through())
    for (std::int64_t c = 0; c < encoding.channels(); ++c) {
      result.min.push_back(encoding.effective_range(c).min);
      result.max.push_back(encoding.effective_range(c).max);
    }
  return result;
}

WatchedLayer::WatchedLayer(const Node& node, std::vector<const WatchedQuantizer*> quantizers)
    : node_(&node), quantizers_(std::move(quantizers)), sums_(Sums::of(node)) {
  for (const WatchedQuantizer* each : quantizers_)
    if (each->handle.place() == QuantizerPlace::value &&
        &each->handle.source() == node.outputs()[0])
      of_output_ = each;
}

QuantizerSet WatchedLayer::quantizer_nodes() const {
  QuantizerSet nodes;
  for (const WatchedQuantizer* each : quantizers_) nodes.insert(each->handle.node().name());
  return nodes;
}

Tensor WatchedLayer::through_quantizer(const ConstTensor& output) const {
  return of_output_ == nullptr ? output.clone() : of_output_->handle.quantize_dequantize(output);
}

void WatchedLayer::add(const ConstTensor& in_float, const ConstTensor& quantized,
                       std::int64_t images, const Shape& input) {
  if (accumulated_.count == 0) {
    output_shape_ = in_float.shape();
    macs_ = images == 0 ? 0 : macs_of(*node_, input, output_shape_) / images;
  }
  accumulated_ += compare(in_float, through_quantizer(quantized));
  if (sums_) sums_->observe(quantized);
}

void WatchedLayer::add_alone(const ConstTensor& in_float, const ConstTensor& alone) {
  before_output_ += compare(in_float, alone);
  alone_ += compare(in_float, through_quantizer(alone));
}

namespace {

/// Returns what a node reads of the data, through quantizers: names of nodes or of inputs of the
/// network, each once.
std::vector<std::string> inputs_of(const Node& node) {
  std::vector<std::string> names;
  for (const Value* value : node.inputs()) {
    while (value->producer() != nullptr && value->producer()->as<QuantizeDequantize>() != nullptr)
      value = value->producer()->inputs()[0];
    if (value->parameter() != nullptr) continue;
    const std::string& name =
        value->producer() == nullptr ? value->name() : value->producer()->name();
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

}  // namespace

Layer WatchedLayer::result() const {
  Layer result{.name = name(),
               .type = std::string(node_->type()),
               .inputs = inputs_of(*node_),
               .output_shape = {output_shape_.dims().begin(), output_shape_.dims().end()},
               .accumulated = accumulated_.error(),
               .macs = macs_};
  for (const WatchedQuantizer* each : quantizers_) result.quantizers.push_back(each->handle.name());
  if (is_layer(*node_)) {
    result.parameters = weight_value(*node_).shape().numel();
    if (const Value* bias = bias_value(*node_)) result.parameters += bias->shape().numel();
  }
  if (sums_) result.accumulator = sums_->result();
  if (!is_quantized()) return result;
  result.alone = alone_.error();
  const bool has_others = quantizers_.size() > (of_output_ == nullptr ? 0u : 1u);
  if (has_others) result.alone_weights = before_output_.error();
  if (of_output_ != nullptr) result.alone_output = of_output_->codes.error();
  return result;
}

double WatchedLayer::noise_at(int bitwidth) const {
  // The shares of the tensors that the layer reads in its error are those of their noise over
  // their signal: of a product the relative errors add up.
  double now = 0.0, then = 0.0;
  for (const WatchedQuantizer* each : quantizers_) {
    const double signal = each->codes.mean_square();
    if (each == of_output_ || signal == 0.0) continue;
    now += each->codes.mse() / signal;
    then += each->codes.mse_at(bitwidth) / signal;
  }
  const double inside = before_output_.mse();
  const double outside = of_output_ == nullptr ? 0.0 : of_output_->codes.mse();
  if (inside + outside == 0.0) return 1.0;
  const double inside_then = now == 0.0 ? inside : inside * then / now;
  const double outside_then = of_output_ == nullptr ? 0.0 : of_output_->codes.mse_at(bitwidth);
  return (inside_then + outside_then) / (inside + outside);
}

std::int64_t WatchedLayer::quantized_parameters() const {
  std::int64_t count = 0;
  for (const WatchedQuantizer* each : quantizers_)
    if (each->handle.place() == QuantizerPlace::parameter)
      count += each->handle.source().shape().numel();
  return count;
}

std::int64_t WatchedLayer::weight_bytes() const {
  std::int64_t bytes = 0;
  for (const WatchedQuantizer* each : quantizers_)
    if (each->handle.place() == QuantizerPlace::parameter)
      bytes += (each->handle.source().shape().numel() * each->handle.bitwidth() + 7) / 8;
  return bytes;
}

}  // namespace rung::analysis
